"""What happened, in order: the history that SSE replays."""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, delete, insert, select

from service.ledger.database import AnyRow, utc_now
from service.ledger.schema import events


def record(
    c: Connection,
    type: str,
    data: Mapping[str, Any],
    *,
    collection_id: str | None = None,
    job_id: str | None = None,
    job_version: int | None = None,
) -> None:
    """Add one event."""
    c.execute(
        insert(events).values(
            type=type,
            data=dict(data),
            collection_id=collection_id,
            job_id=job_id,
            job_version=job_version,
            at=utc_now(),
        )
    )


def since(c: Connection, job_id: str, version: int, limit: int = 500) -> Sequence[AnyRow]:
    """A job's events after `version`, oldest first."""
    query = select(events).where(events.c.job_id == job_id, events.c.job_version > version)
    return c.execute(query.order_by(events.c.job_version, events.c.id).limit(limit)).all()


def newest(c: Connection, job_id: str, type: str, since: str, limit: int) -> Sequence[AnyRow]:
    """A job's events of one type since a time (ISO text), newest first."""
    mine = (events.c.job_id == job_id) & (events.c.type == type) & (events.c.at >= since)
    return c.execute(select(events).where(mine).order_by(events.c.job_version.desc()).limit(limit)).all()


def oldest_version(c: Connection, job_id: str) -> int | None:
    """The first version of the job that can still be replayed."""
    query = select(events.c.job_version).where(events.c.job_id == job_id)
    return c.execute(query.order_by(events.c.job_version).limit(1)).scalar()


def forget_before(c: Connection, at: str) -> int:
    """Drop events older than `at` (ISO text); returns how many."""
    return c.execute(delete(events).where(events.c.at < at)).rowcount
