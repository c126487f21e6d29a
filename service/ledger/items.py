"""Work items of a job: only what has something to do; an unchanged file has no row."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, bindparam, delete, func, insert, select, update

from service.core.pace import is_spared
from service.errors import NotFound
from service.ledger.database import AnyRow
from service.ledger.schema import items, literally

_OPEN = literally(items.c.state, "pending", "in_flight")
_AMISS = literally(items.c.state, "failed", "skipped")
_INDEXED = {"pending": _OPEN, "in_flight": _OPEN, "failed": _AMISS, "skipped": _AMISS}
_AT_ONCE = 5_000
# What is to be done with a file. Until everything else is done, one waits that would take too much away.
UPSERT, DELETE = "upsert", "delete"
EMPTIED = "emptied"  # it has lost what was in it
ALLOWED = "allowed"  # it has, and the guard has let that pass: it is taken at its word
ASKED = "asked"  # the reason of what was done to an item because somebody wanted it


def add(c: Connection, job_id: str, op: str, rows: Iterable[Mapping[str, str]]) -> int:
    """Insert pending items ({folder, name, stamp} each); returns how many."""
    values = [{"job_id": job_id, "op": op, "state": "pending", **row} for row in rows]
    if values:
        c.execute(insert(items), values)
    return len(values)


def allow(c: Connection, job_id: str) -> None:
    """The guard has let the emptied files pass."""
    c.execute(update(items).where(_open_of(job_id, EMPTIED)).values(op=ALLOWED))


def doubt(c: Connection, item_id: int) -> None:
    """An item that was read waits for the guard."""
    values = {"op": EMPTIED, "state": "pending", "attempts": 0, "spared": 0}
    c.execute(update(items).where(items.c.id == item_id, items.c.state == "in_flight").values(**values))


def drop_pending(c: Connection, job_id: str, op: str | None = None) -> None:
    """Forget what an unfinished listing has found, all or of one kind; what is settled stays."""
    c.execute(delete(items).where(_open_of(job_id, op)))


def next_pending(c: Connection, job_id: str, op: str, limit: int, now: str) -> Sequence[AnyRow]:
    """The next items to work on, in listing order; those that back off are passed over.

    Items that were in flight when a worker died come after all others, so that one which kills keeps none waiting.
    """
    due = items.c.not_before.is_(None) | (items.c.not_before <= now)
    mine = _of(job_id, "pending") & (items.c.op == op) & due
    clean = select(items).where(mine, items.c.attempts == 0).order_by(items.c.id)
    suspect = select(items).where(mine, items.c.attempts > 0)
    # The worst first, until it is done or set aside: that is a commit, after which the job may lose workers again.
    suspect = suspect.order_by(items.c.attempts.desc(), items.c.id)
    return c.execute(clean.limit(limit)).all() or c.execute(suspect.limit(limit)).all()


def earliest_retry(c: Connection, job_id: str, op: str) -> str | None:
    """When the next item that backs off is due."""
    waiting = _of(job_id, "pending") & (items.c.op == op)
    waiting &= items.c.not_before.is_not(None)
    return c.execute(select(func.min(items.c.not_before)).where(waiting)).scalar()


def open_files(c: Connection, job_id: str) -> set[tuple[str, str]]:
    """(folder, name) of the files that are still to be looked into, or removed."""
    mine = (items.c.job_id == job_id) & _OPEN
    return {(row.folder, row.name) for row in c.execute(select(items.c.folder, items.c.name).where(mine))}


def open_count(c: Connection, job_id: str, op: str | None = None) -> int:
    """How many items are not settled, of all or of one kind."""
    return c.execute(select(func.count()).select_from(items).where(_open_of(job_id, op))).scalar_one()


def start(c: Connection, ids: Sequence[int]) -> set[int]:
    """Mark items in flight, before anything is read: a crash leaves a trace of what it was busy with.

    Returns those that were still pending: somebody may just have asked for one to be skipped.
    """
    mine = items.c.id.in_(ids) & (items.c.state == "pending")
    started = update(items).where(mine).values(state="in_flight", attempts=items.c.attempts + 1)
    return set(c.execute(started.returning(items.c.id)).scalars()) if ids else set()


def progressed(c: Connection, ids: Sequence[int]) -> None:
    """A part of these items is committed: what ended their workers before was not they."""
    if ids:
        c.execute(
            update(items)
            .where(items.c.id.in_(ids), items.c.state == "in_flight")
            .values(attempts=1, spared=0)
        )


def take_back_all(c: Connection, job_id: str) -> None:
    """Return what an orderly stop left unfinished; the attempt does not count against it."""
    c.execute(
        update(items).where(_of(job_id, "in_flight")).values(state="pending", attempts=items.c.attempts - 1)
    )


def recover(c: Connection, job_id: str, witnessed: bool) -> int:
    """After an unclean end, in flight becomes pending; the attempt counts. Returns how many there were.

    `witnessed`: a supervisor saw the end.
    """
    mine = _of(job_id, "in_flight")
    for row in c.execute(select(items).where(mine, items.c.attempts > 1)).all():
        if is_spared(row.attempts, row.spared, witnessed):
            changes = {"attempts": row.attempts - 1, "spared": row.spared + 1}
            c.execute(update(items).where(items.c.id == row.id).values(**changes))
    return c.execute(update(items).where(mine).values(state="pending")).rowcount


def postpone(c: Connection, item_id: int, not_before: str, reason: str, detail: str) -> None:
    """Back to pending after a passing condition, to be tried at `not_before`; the attempt does not count."""
    c.execute(
        update(items)
        .where(items.c.id == item_id)
        .values(
            state="pending",
            attempts=0,
            tries=items.c.tries + 1,
            not_before=not_before,
            reason=reason,
            detail=detail,
        )
    )


def settle_all(c: Connection, rows: Sequence[Mapping[str, Any]]) -> None:
    """Record many outcomes ({item, state, reason, detail} each) of items in flight in one round."""
    if rows:
        changes: dict[str, Any] = {name: bindparam(name) for name in ("state", "reason", "detail")}
        mine = (items.c.id == bindparam("item")) & (items.c.state == "in_flight")
        c.execute(update(items).where(mine).values(**changes), list(rows))


def skip(c: Connection, item_id: int) -> None:
    """Somebody does without an item."""
    c.execute(update(items).where(items.c.id == item_id).values(state="skipped", reason=ASKED, detail=None))


def skip_file(c: Connection, job_id: str, folder: str, name: str, reason: str) -> int:
    """A file is left out of a job; returns how many of its open items, removals aside, are settled so."""
    mine = (items.c.job_id == job_id) & _OPEN & (items.c.folder == folder) & (items.c.name == name)
    skipped = update(items).where(mine).values(state="skipped", reason=reason, detail=None)
    return sum(op != DELETE for op in c.execute(skipped.returning(items.c.op)).scalars())


def get(c: Connection, job_id: str, item_id: int) -> AnyRow:
    """One item of a job. Raises NotFound."""
    row = c.execute(select(items).where(items.c.job_id == job_id, items.c.id == item_id)).first()
    if row is None:
        raise NotFound("item", item_id)
    return row


def retry_failed(c: Connection, job_id: str, item_id: int | None = None) -> int:
    """Failed items are pending again, with a clean slate; returns how many."""
    which = _of(job_id, "failed")
    if item_id is not None:
        which &= items.c.id == item_id
    return c.execute(
        update(items)
        .where(which)
        .values(
            state="pending",
            asked=True,
            attempts=0,
            spared=0,
            tries=0,
            not_before=None,
            reason=ASKED,
            detail=None,
        )
    ).rowcount


def every(c: Connection, job_id: str) -> Iterator[AnyRow]:
    """All items of a job, oldest first, a few at a time."""
    yield from c.execute(select(items).where(items.c.job_id == job_id).order_by(items.c.id)).yield_per(
        _AT_ONCE
    )


def reopen(c: Connection, ids: Sequence[int]) -> None:
    """What settled these is undone: pending, with a clean slate."""
    clean: dict[str, Any] = {"state": "pending", "attempts": 0, "spared": 0, "tries": 0}
    clean |= {"not_before": None, "reason": None, "detail": None}
    if ids:
        mine = items.c.id == bindparam("item")
        c.execute(update(items).where(mine).values(**clean), [{"item": number} for number in ids])


def forget(c: Connection, job_id: str) -> None:
    """Remove every item of a job that begins anew."""
    c.execute(delete(items).where(items.c.job_id == job_id))


def listing(
    c: Connection, job_id: str, state: str | None = None, after: int = 0, limit: int = 100
) -> Sequence[AnyRow]:
    """Items in order; `after` is the id of the last one of the page before."""
    mine = _of(job_id, state) if state else items.c.job_id == job_id
    query = select(items).where(mine, items.c.id > after)
    return c.execute(query.order_by(items.c.id).limit(limit)).all()


def _open_of(job_id: str, op: str | None) -> ColumnElement[bool]:
    mine = (items.c.job_id == job_id) & _OPEN
    return mine & (items.c.op == op) if op else mine


def _of(job_id: str, state: str) -> ColumnElement[bool]:
    """A job's items in one state, by the partial index that has them."""
    mine = (items.c.job_id == job_id) & (items.c.state == state)
    return mine & _INDEXED[state] if state in _INDEXED else mine
