"""Collections, their sources, and the numbers that only ever go up."""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import uuid4

from sqlalchemy import Connection, delete, insert, select, update

from service.errors import Conflict, NotFound
from service.ledger import leases, spaces
from service.ledger.database import AnyRow, utc_now
from service.ledger.schema import collections, names, sources


def create(
    c: Connection, name: str, space: Mapping[str, Any], weights: str, settings: Mapping[str, Any]
) -> AnyRow:
    """Add a collection and its lease. Where one of this name was deleted, neither generations nor tokens start again."""
    collection_id = uuid4().hex
    before = c.execute(select(names).where(names.c.name == name)).first()
    # One above: a reader of the deleted collection goes on to it, and never back.
    first = before.generation + 1 if before is not None else 0
    c.execute(
        insert(collections).values(
            id=collection_id,
            name=name,
            space=dict(space),
            weights=weights,
            settings=dict(settings),
            generation=first,
            kept_from=first,
            created_at=utc_now(),
        )
    )
    spaces.begin(c, collection_id, first, space, weights)
    leases.create(c, collection_id, before.token if before is not None else 0)
    return by_name(c, name)


def remember(c: Connection, row: AnyRow, token: int) -> None:
    """What a later collection of the same name must stay above."""
    c.execute(delete(names).where(names.c.name == row.name))
    c.execute(insert(names).values(name=row.name, generation=row.generation, token=token))


def by_name(c: Connection, name: str) -> AnyRow:
    """The collection called `name`; raises NotFound."""
    row = find(c, name)
    if row is None:
        raise NotFound("collection", name)
    return row


def active(c: Connection, name: str) -> AnyRow:
    """The collection called `name`; raises NotFound, and Conflict where it is being deleted."""
    row = by_name(c, name)
    refuse_if_deleting(row)
    return row


def refuse_if_deleting(row: AnyRow) -> None:
    """Raise Conflict where the collection is being deleted."""
    if row.state == "deleting":
        raise Conflict(
            f"Collection {row.name!r} is being deleted: wait until it is gone, or take another name."
        )


def find(c: Connection, name: str) -> AnyRow | None:
    """The collection called `name`, if there is one."""
    return c.execute(select(collections).where(collections.c.name == name)).first()


def by_id(c: Connection, collection_id: str) -> AnyRow:
    """The collection with this immutable id; raises NotFound."""
    row = c.execute(select(collections).where(collections.c.id == collection_id)).first()
    if row is None:
        raise NotFound("collection", collection_id)
    return row


def of_source(c: Connection, source_id: int) -> AnyRow:
    """The collection that a source belongs to."""
    return by_id(c, source(c, source_id).collection_id)


def listing(c: Connection) -> Sequence[AnyRow]:
    """All collections by name."""
    return c.execute(select(collections).order_by(collections.c.name)).all()


def unpublished(c: Connection) -> Sequence[str]:
    """The ids of collections whose newest generation readers cannot see yet."""
    behind = collections.c.published_generation < collections.c.generation
    return c.execute(select(collections.c.id).where(behind).order_by(collections.c.name)).scalars().all()


def reserve(c: Connection, collection_id: str, column: str, count: int) -> int:
    """Take `count` numbers from an allocator and return the first; they are never given out again."""
    number = collections.c[column]
    first: int = c.execute(select(number).where(collections.c.id == collection_id)).scalar_one()
    change(c, collection_id, **{column: first + count})
    return first


def change(c: Connection, collection_id: str, **values: Any) -> None:
    """Set columns of a collection."""
    c.execute(update(collections).where(collections.c.id == collection_id).values(**values))


def source(c: Connection, source_id: int) -> AnyRow:
    """The source with this id."""
    return c.execute(select(sources).where(sources.c.id == source_id)).one()


def find_source(c: Connection, collection_id: str, type: str, root: str) -> AnyRow | None:
    """The source of a collection by type and named root."""
    same = (sources.c.collection_id == collection_id) & (sources.c.type == type) & (sources.c.root == root)
    return c.execute(select(sources).where(same)).first()


def put_source(c: Connection, collection_id: str, type: str, root: str, path: str) -> AnyRow:
    """Find or add a source, and remember the path it has today."""
    row = find_source(c, collection_id, type, root)
    if row is None:
        c.execute(insert(sources).values(collection_id=collection_id, type=type, root=root, path=path))
        return put_source(c, collection_id, type, root, path)
    if row.path != path:
        c.execute(update(sources).where(sources.c.id == row.id).values(path=path))
    return row
