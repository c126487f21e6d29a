"""Job rows, and the only function that moves one from state to state."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any
from uuid import uuid4

from sqlalchemy import Connection, insert, select, update
from sqlalchemy.exc import IntegrityError

from service.core.job import (
    FINISHED,
    HELD_BY_A_WORKER,
    UNFINISHED,
    WISHES,
    Fact,
    State,
    Verb,
    is_repeat,
    move,
)
from service.core.job import allowed as allowed_verbs
from service.errors import Conflict, IllegalMove, NotFound, TryAgain
from service.ledger import events
from service.ledger.database import AnyRow, utc_now
from service.ledger.schema import collections, jobs, sources

COUNTERS = (
    "discovered",
    "done",
    "unchanged",
    "skipped",
    "failed",
    "known_failed",
    "deleted",
    "chunks",
    "chunks_reused",
    "bytes",
    "tokens",
)

_wide = select(
    jobs,
    collections.c.name.label("collection"),
    collections.c.state.label("collection_state"),
    collections.c.generation,
    collections.c.next_doc_id,
    sources.c.type,
    sources.c.root,
    sources.c.path,
).select_from(
    jobs.join(collections, jobs.c.collection_id == collections.c.id).join(
        sources, jobs.c.source_id == sources.c.id
    )
)


def create(
    c: Connection, collection_id: str, source_id: int, service: str, options: Mapping[str, Any], paused: bool
) -> AnyRow:
    """Add a job; raises Conflict where the collection and source have an unfinished one."""
    now = utc_now()
    job_id = f"job-{now[:10].replace('-', '')}-{uuid4().hex[:10]}"
    state = State.PAUSED if paused else State.QUEUED
    try:
        with c.begin_nested():
            c.execute(
                insert(jobs).values(
                    id=job_id,
                    collection_id=collection_id,
                    source_id=source_id,
                    service=service,
                    options=dict(options),
                    state=state,
                    desired_state="paused" if paused else "running",
                    created_at=now,
                    updated_at=now,
                )
            )
    except IntegrityError as error:
        raise _in_the_way(c, collection_id, source_id) from error
    events.record(c, "created", {"state": state}, collection_id=collection_id, job_id=job_id, job_version=1)
    return get(c, job_id)


def get(c: Connection, job_id: str) -> AnyRow:
    """A job with its collection's name and its source; raises NotFound."""
    row = c.execute(_wide.where(jobs.c.id == job_id)).first()
    if row is None:
        raise NotFound("job", job_id)
    return row


def unfinished_of(c: Connection, collection_id: str, source_id: int) -> AnyRow | None:
    """The unfinished job of a collection and source."""
    mine = (jobs.c.collection_id == collection_id) & (jobs.c.source_id == source_id)
    return c.execute(_wide.where(mine, jobs.c.state.in_(UNFINISHED))).first()


def latest_of(c: Connection, collection_id: str, source_id: int) -> AnyRow | None:
    """The newest job of a collection and source, finished or not."""
    mine = (jobs.c.collection_id == collection_id) & (jobs.c.source_id == source_id)
    return c.execute(_wide.where(mine).order_by(jobs.c.number.desc()).limit(1)).first()


def listing(
    c: Connection,
    *,
    state: str | None = None,
    collection: str | None = None,
    before: int | None = None,
    limit: int = 50,
) -> Sequence[AnyRow]:
    """Jobs, newest first; `before` is the cursor: the `number` of the last row of the page before."""
    query = _wide.order_by(jobs.c.number.desc()).limit(limit)
    if state:
        query = query.where(jobs.c.state == state)
    if collection:
        query = query.where(collections.c.name == collection)
    if before is not None:
        query = query.where(jobs.c.number < before)
    return c.execute(query).all()


def unfinished_in(c: Connection, collection_id: str, named: Collection[str] = ()) -> Sequence[AnyRow]:
    """A collection's unfinished jobs, and its failed ones that are `named`, oldest first."""
    failed = (jobs.c.state == State.FAILED) & jobs.c.id.in_(named)
    mine = (jobs.c.collection_id == collection_id) & (jobs.c.state.in_(UNFINISHED) | failed)
    return c.execute(_wide.where(mine).order_by(jobs.c.number)).all()


def waiting(c: Connection) -> Sequence[AnyRow]:
    """Jobs that want a worker: queued ones, and cancellations that nobody has finished; oldest first."""
    wanted = (State.QUEUED, State.CANCELLING)
    return c.execute(_wide.where(jobs.c.state.in_(wanted)).order_by(jobs.c.number)).all()


def held(c: Connection) -> Sequence[AnyRow]:
    """Jobs that some worker has, or had when it died."""
    return c.execute(_wide.where(jobs.c.state.in_(HELD_BY_A_WORKER)).order_by(jobs.c.number)).all()


def ask(c: Connection, job_id: str, verb: Verb) -> AnyRow:
    """Record a person's wish; raises IllegalMove where the table has no such move, and where a finished job would
    come back beside an unfinished one of the same collection and source."""
    row = get(c, job_id)
    state = State(row.state)
    if move(state, verb) is None and is_repeat(state, verb):
        return row
    possible, other = allowed(c, row)
    if verb not in possible:
        because = f" while job {other.id} of the same source is {other.state}" if other is not None else ""
        because = because if row.collection_state == "active" else " while its collection is being deleted"
        raise IllegalMove(verb.value, state.value, possible, because=because)
    changes: dict[str, Any] = {"desired_state": WISHES[verb], "wished_at": utc_now(), "reason": None}
    if verb in (Verb.RESUME, Verb.RETRY):
        changes |= {"finished_at": None, "losses": 0}
    try:
        with c.begin_nested():
            return apply(c, row, verb, **changes)
    except (
        IntegrityError
    ) as error:  # where transactions run side by side, another job may just have been made
        raise TryAgain("job_changed", f"another job of the source of {job_id} was made just now") from error


def allowed(c: Connection, row: AnyRow) -> tuple[list[str], AnyRow | None]:
    """(The verbs that would change something now, the job that keeps a finished one from coming back)."""
    verbs = allowed_verbs(State(row.state))
    if row.collection_state != "active":
        return [verb for verb in verbs if verb == Verb.CANCEL], None
    comes_back = [verb for verb in verbs if move(State(row.state), Verb(verb)) in UNFINISHED]
    if State(row.state) not in FINISHED or not comes_back:
        return verbs, None
    other = unfinished_of(c, row.collection_id, row.source_id)
    return (verbs, None) if other is None else ([v for v in verbs if v not in comes_back], other)


def happen(c: Connection, job_id: str, fact: Fact, **changes: Any) -> AnyRow:
    """Record what happened to a job; raises IllegalMove where the table has no such move."""
    return apply(c, get(c, job_id), fact, **changes)


def apply(c: Connection, row: AnyRow, event: Verb | Fact, **changes: Any) -> AnyRow:
    """Compare-and-set on (state, version); TryAgain when the row has changed since it was read."""
    target = move(State(row.state), event)
    if target is None:
        raise IllegalMove(event.value, row.state, allowed_verbs(State(row.state)))
    if target in FINISHED:
        changes.setdefault("finished_at", utc_now())
    if target in (State.PAUSED, State.INTERRUPTED):
        changes.setdefault("paused_at_checkpoint", row.generation)
    _set(c, row, state=target, **changes)
    return get(c, row.id)


def note(c: Connection, job_id: str, kind: str = "progress", **changes: Any) -> AnyRow:
    """Change a job's fields without moving it."""
    row = get(c, job_id)
    _set(c, row, kind, **changes)
    return get(c, job_id)


def count(c: Connection, job_id: str, kind: str, deltas: Mapping[str, int], **changes: Any) -> AnyRow:
    """Add to a job's counters, and change other fields in the same step; its event says how much was `counted`."""
    added = {name: jobs.c[name] + delta for name, delta in deltas.items() if delta}
    counted = {name: deltas[name] for name in added}
    _set(c, get(c, job_id), kind, {"counted": counted}, **added, **changes)
    return get(c, job_id)


def _in_the_way(c: Connection, collection_id: str, source_id: int) -> Conflict:
    other = unfinished_of(c, collection_id, source_id)
    name, state = (other.id, other.state) if other is not None else ("?", "not finished")
    return Conflict(
        f"Job {name} of this collection and source is {state}: resume it, cancel it, or wait for its end.",
        job=name,
    )


def _set(
    c: Connection, row: AnyRow, kind: str = "state", told: Mapping[str, Any] | None = None, **changes: Any
) -> None:
    changed = c.execute(
        update(jobs)
        .where(jobs.c.id == row.id, jobs.c.state == row.state, jobs.c.version == row.version)
        .values(version=row.version + 1, updated_at=utc_now(), **changes)
    ).rowcount
    if changed != 1:
        raise TryAgain("job_changed", f"job {row.id} was changed by somebody else at the same moment")
    shown = {name: value for name, value in changes.items() if isinstance(value, str | int | dict | None)}
    shown |= told or {}
    events.record(c, kind, shown, collection_id=row.collection_id, job_id=row.id, job_version=row.version + 1)
