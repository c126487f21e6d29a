"""Put rows into a ledger that nobody has used yet."""

from collections.abc import Iterable, Mapping
from itertools import islice
from typing import Any

from sqlalchemy import Connection, Table, insert

from service.ledger import schema
from service.ledger.database import FORMAT

Row = Mapping[str, Any]
_ROWS_AT_ONCE = 5_000


def put_store(c: Connection, store_id: str) -> None:
    """The ledger's identity."""
    c.execute(insert(schema.store).values(id=1, store_id=store_id, format=FORMAT))


def put(c: Connection, table: str, rows: Iterable[Row]) -> None:
    """Rows of one table, all with the same columns; as they come, a few thousand at a time."""
    into: Table = schema.metadata.tables[table]
    coming = iter(rows)
    while some := list(islice(coming, _ROWS_AT_ONCE)):
        c.execute(insert(into), [dict(row) for row in some])


def put_source(c: Connection, row: Row) -> int:
    """A source; the number that the ledger gives it."""
    key = c.execute(insert(schema.sources).values(**row)).inserted_primary_key
    assert key is not None, "one row was inserted"
    return int(key[0])
