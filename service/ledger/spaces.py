"""Which embedding space the vectors of a generation are in."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, insert, select, update

from service.ledger.database import AnyRow
from service.ledger.schema import collections, spaces


def begin(
    c: Connection,
    collection_id: str,
    generation: int,
    space: Mapping[str, Any],
    weights: str,
    job_id: str | None = None,
) -> None:
    """From `generation` on the collection's vectors are in this space."""
    values = {"space": dict(space), "weights": weights}
    c.execute(
        insert(spaces).values(
            collection_id=collection_id, from_generation=generation, job_id=job_id, **values
        )
    )
    c.execute(update(collections).where(collections.c.id == collection_id).values(**values))


def at(c: Connection, collection_id: str, generation: int) -> AnyRow:
    """(space, weights, job_id, from_generation) of a generation's vectors."""
    mine = (spaces.c.collection_id == collection_id) & (spaces.c.from_generation <= generation)
    return c.execute(select(spaces).where(mine).order_by(spaces.c.from_generation.desc()).limit(1)).one()


def go_back(c: Connection, collection_id: str, to: int, generation: int) -> AnyRow:
    """A rollback: from `generation` on the space is again that of generation `to`, which is returned."""
    now, then = at(c, collection_id, generation), at(c, collection_id, to)
    if now.space != then.space:
        begin(c, collection_id, generation, then.space, then.weights)
    return then


def switched_by(c: Connection, job_id: str) -> bool:
    """Whether the job has made its switch."""
    return c.execute(select(spaces.c.job_id).where(spaces.c.job_id == job_id)).first() is not None
