"""Maintenance tasks: ordered by anybody, done by whoever holds their collection's lease."""

from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

from sqlalchemy import ColumnElement, Connection, delete, insert, select, update

from service.core.upkeep import OPEN, Kind, TaskState
from service.errors import NotFound
from service.ledger import events
from service.ledger.collections import refuse_if_deleting
from service.ledger.database import AnyRow, utc_now
from service.ledger.schema import literally, tasks

MOST_WAITED_SECONDS = 60.0


def create(c: Connection, collection: AnyRow, kind: Kind, options: Mapping[str, Any]) -> AnyRow:
    """Queue a task for a collection (its row). Raises Conflict where that is being deleted."""
    if kind != Kind.DROP:
        refuse_if_deleting(collection)
    now = utc_now()
    task_id = f"task-{now[:10].replace('-', '')}-{uuid4().hex[:10]}"
    c.execute(
        insert(tasks).values(
            id=task_id,
            collection_id=collection.id,
            collection=collection.name,
            kind=kind,
            options=dict(options),
            state=TaskState.QUEUED,
            created_at=now,
        )
    )
    return get(c, task_id)


def get(c: Connection, task_id: str) -> AnyRow:
    """One task. Raises NotFound."""
    row = c.execute(select(tasks).where(tasks.c.id == task_id)).first()
    if row is None:
        raise NotFound("task", task_id)
    return row


def listing(
    c: Connection, collection: str | None = None, before: int | None = None, limit: int = 50
) -> Sequence[AnyRow]:
    """Tasks, newest first; `before`: the `number` of the last row of the page before."""
    query = select(tasks).order_by(tasks.c.number.desc()).limit(limit)
    if collection is not None:
        query = query.where(tasks.c.collection == collection)
    if before is not None:
        query = query.where(tasks.c.number < before)
    return c.execute(query).all()


def next_open(c: Connection, collection_id: str, kinds: Collection[Kind]) -> AnyRow | None:
    """The oldest task of these kinds that is due: also one that a dead holder has begun."""
    mine = (tasks.c.collection_id == collection_id) & _open() & tasks.c.kind.in_(kinds)
    return c.execute(select(tasks).where(mine, _due()).order_by(tasks.c.number).limit(1)).first()


def is_open(c: Connection, collection_id: str, kinds: Collection[Kind]) -> bool:
    """Whether a task of these kinds is due."""
    return next_open(c, collection_id, kinds) is not None


def is_ordered(c: Connection, collection_id: str, kind: Kind) -> bool:
    """Whether a task of this kind is open, due or not."""
    return ordered(c, collection_id, kind) is not None


def ordered(c: Connection, collection_id: str, kind: Kind) -> AnyRow | None:
    """The oldest open task of this kind, due or not."""
    mine = (tasks.c.collection_id == collection_id) & _open() & (tasks.c.kind == kind)
    return c.execute(select(tasks).where(mine).order_by(tasks.c.number).limit(1)).first()


def fail_all(c: Connection, collection_id: str, code: str, message: str, but: str = "") -> None:
    """Whatever is open of a collection's tasks, `but` one, cannot be done."""
    mine = (tasks.c.collection_id == collection_id) & _open() & (tasks.c.id != but)
    for task_id in c.execute(select(tasks.c.id).where(mine)).scalars().all():
        fail(c, task_id, code, message)


def collections_with_open(c: Connection) -> Sequence[AnyRow]:
    """(collection_id, collection) of every collection that has a task which is due, oldest task first."""
    columns = (tasks.c.collection_id, tasks.c.collection)
    found = c.execute(select(*columns).where(_open(), _due()).order_by(tasks.c.number)).all()
    return list(dict.fromkeys(found))


def begin(c: Connection, task_id: str, token: int) -> AnyRow | None:
    """Begin a task under a lease's token; None when it is not open any more."""
    mine = (tasks.c.id == task_id) & _open()
    changes: dict[str, Any] = {"state": TaskState.RUNNING, "token": token, "attempts": tasks.c.attempts + 1}
    if died := deaths(get(c, task_id)):
        message = f"its worker ended in the middle of it, {died} time(s) in a row"
        changes["error"] = {"code": "worker_gone", "message": message, "deaths": died}
    changed = c.execute(update(tasks).where(mine).values(**changes, started_at=utc_now())).rowcount
    return get(c, task_id) if changed else None


def deaths(task: AnyRow) -> int:
    """How many holders in a row have ended with this open task in hand, and could not say why."""
    before = int((task.error or {}).get("deaths", 0))
    return before + int(task.state == TaskState.RUNNING)


def finish(c: Connection, task_id: str, result: Mapping[str, Any]) -> None:
    """It is done; in the transaction that makes it true, where there is one."""
    _end(c, task_id, TaskState.DONE, result=dict(result), error=None)


def fail(c: Connection, task_id: str, code: str, message: str) -> None:
    """It cannot be done."""
    _end(c, task_id, TaskState.FAILED, error={"code": code, "message": message})


def put_back(c: Connection, task_id: str, wait_seconds: float, code: str, message: str) -> None:
    """A passing condition, or an order to stop: it waits, at most MOST_WAITED_SECONDS."""
    due = datetime.now(UTC) + timedelta(seconds=min(wait_seconds, MOST_WAITED_SECONDS))
    values: dict[str, Any] = {"not_before": due.isoformat(timespec="microseconds")}
    values |= {"state": TaskState.QUEUED, "error": {"code": code, "message": message}}
    c.execute(update(tasks).where(tasks.c.id == task_id, _open()).values(**values))


def forget_before(c: Connection, at: str) -> None:
    """Remove the receipts of what ended before `at` (ISO text)."""
    c.execute(delete(tasks).where(~_open(), tasks.c.finished_at < at))


def _end(c: Connection, task_id: str, state: TaskState, **values: Any) -> None:
    mine = (tasks.c.id == task_id) & _open()
    changed = c.execute(update(tasks).where(mine).values(state=state, finished_at=utc_now(), **values))
    if changed.rowcount:
        row = get(c, task_id)
        said = {"task": task_id, "kind": row.kind, "result": row.result, "error": row.error}
        events.record(c, f"task_{state}", said, collection_id=row.collection_id)


def _open() -> ColumnElement[bool]:
    return literally(tasks.c.state, *OPEN)


def _due() -> ColumnElement[bool]:
    # Further away than anything waits: the clock has been set back since.
    far = (datetime.now(UTC) + timedelta(seconds=MOST_WAITED_SECONDS)).isoformat(timespec="microseconds")
    waits = (tasks.c.not_before > utc_now()) & (tasks.c.not_before <= far)
    return tasks.c.not_before.is_(None) | ~waits
