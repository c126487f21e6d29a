"""Worker processes: when each last gave a sign of life."""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, insert, select, update

from service.ledger.database import AnyRow, utc_now
from service.ledger.schema import workers


def register(c: Connection, worker_id: str, pid: int, host: str, facts: Mapping[str, Any]) -> None:
    """A worker has started; its id must be random, since a restarted container bears the same host name."""
    now = utc_now()
    c.execute(
        insert(workers).values(
            id=worker_id, pid=pid, host=host, started_at=now, beat_at=now, facts=dict(facts)
        )
    )


def beat(c: Connection, worker_id: str) -> None:
    """A sign of life."""
    c.execute(update(workers).where(workers.c.id == worker_id).values(beat_at=utc_now()))


def end(c: Connection, worker_id: str) -> None:
    """A worker has ended in order, or was seen dead."""
    c.execute(update(workers).where(workers.c.id == worker_id).values(ended_at=utc_now()))


def alive(c: Connection) -> Sequence[AnyRow]:
    """Workers that have not ended, newest sign of life first."""
    query = select(workers).where(workers.c.ended_at.is_(None))
    return c.execute(query.order_by(workers.c.beat_at.desc())).all()
