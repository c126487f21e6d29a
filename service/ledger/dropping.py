"""The rows of a collection, removed some at a time: the ledger is not locked for long."""

from collections.abc import Callable

from sqlalchemy import ColumnElement, Connection, Table, delete, select, tuple_

from service.ledger.schema import collections, events, items, jobs, leases, metadata, prepared, tasks

ROWS_AT_ONCE = 2_000
_JOBS_AT_ONCE = 1  # for each of them the database looks through all items

_LAST = (collections, leases, tasks)  # the first two end in one step; receipts stay
_FIRST = (items, events, jobs)

Some = Callable[[Connection], bool]


def steps(collection_id: str) -> list[Some]:
    """To be called in this order, each in transactions of its own until it says that there is nothing left."""
    mine = [
        table
        for table in reversed(metadata.sorted_tables)
        if "collection_id" in table.c and table not in (*_LAST, *_FIRST)
    ]
    items_too = [_of_jobs(prepared, collection_id), _by_id(items, collection_id)]
    before = [*items_too, _by_id(events, collection_id), _of_table(jobs, collection_id)]
    return before + [_of_table(table, collection_id) for table in mine]


def finish(c: Connection, collection_id: str) -> None:
    """The collection is gone, and its lease with it."""
    c.execute(delete(leases).where(leases.c.collection_id == collection_id))
    c.execute(delete(collections).where(collections.c.id == collection_id))


def _of_table(table: Table, collection_id: str) -> Some:
    """Removes by primary key."""
    key = tuple_(*table.primary_key.columns)
    limit = _JOBS_AT_ONCE if table is jobs else ROWS_AT_ONCE
    found = select(*table.primary_key.columns).where(table.c.collection_id == collection_id).limit(limit)

    def remove(c: Connection) -> bool:
        return c.execute(delete(table).where(key.in_(found))).rowcount > 0

    return remove


def _of_jobs(table: Table, collection_id: str) -> Some:
    """Removes what only bears the id of a job."""
    key = tuple_(*table.primary_key.columns)
    mine = table.c.job_id.in_(select(jobs.c.id).where(jobs.c.collection_id == collection_id))
    found = select(*table.primary_key.columns).where(mine).limit(ROWS_AT_ONCE)

    def remove(c: Connection) -> bool:
        return c.execute(delete(table).where(key.in_(found))).rowcount > 0

    return remove


def _by_id(table: Table, collection_id: str) -> Some:
    """Removes in ascending order: without an index by collection, so the rows are passed over once."""
    last = 0
    mine: ColumnElement[bool]
    if table is items:
        mine = items.c.job_id.in_(select(jobs.c.id).where(jobs.c.collection_id == collection_id))
    else:
        mine = table.c.collection_id == collection_id

    def remove(c: Connection) -> bool:
        nonlocal last
        query = select(table.c.id).where(mine, table.c.id > last).order_by(table.c.id).limit(ROWS_AT_ONCE)
        ids = c.execute(query).scalars().all()
        if ids:
            c.execute(delete(table).where(mine, table.c.id > last, table.c.id <= ids[-1]))
            last = ids[-1]
        return bool(ids)

    return remove
