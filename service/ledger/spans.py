"""Which versions of documents are visible at which generation, and what two generations have not in common."""

from collections.abc import Iterator
from typing import NamedTuple

from sqlalchemy import ColumnElement, Connection, Select, and_, exists, func, null, or_, select, union_all

from service.ledger.schema import documents, version_spans, versions

_ROWS_AT_ONCE = 5_000


class Difference(NamedTuple):
    """A document of which another version is visible, or none, or one where there was none."""

    doc_id: int
    key: str
    before: int | None  # the version visible at the one generation
    after: int | None  # and at the other


class Tally(NamedTuple):
    """How many documents differ, by how."""

    added: int
    changed: int
    removed: int


def delta(
    c: Connection, collection_id: str, start: int, end: int, *, after: int = 0, limit: int | None = None
) -> Iterator[Difference]:
    """The net difference of what is visible at generations `start` and `end`, in either direction, by `doc_id`.

    What came and went in between is not in it. `after`: the last doc_id of the page before. Both generations must
    still be kept, or spans are missing.
    """
    query = _by_document(collection_id, start, end).subquery()
    same = (documents.c.collection_id == collection_id) & (documents.c.doc_id == query.c.doc_id)
    named = select(query.c.doc_id, documents.c.key, query.c.before, query.c.after).join(documents, same)
    named = named.where(query.c.doc_id > after).order_by(query.c.doc_id).limit(limit)
    for row in c.execute(named).yield_per(_ROWS_AT_ONCE):
        yield Difference(*row)


def tally(c: Connection, collection_id: str, start: int, end: int) -> Tally:
    """How much differs between two generations."""
    query = _by_document(collection_id, start, end).subquery()
    here, there = query.c.before.is_(None), query.c.after.is_(None)
    counts = [func.count().filter(which) for which in (here, ~here & ~there, there)]
    row = c.execute(select(*counts).select_from(query)).one()
    return Tally(*map(int, row))


def _by_document(collection_id: str, start: int, end: int) -> Select[tuple[int, int | None, int | None]]:
    """(doc_id, before, after) of every document that differs."""
    gone = select(version_spans.c.version_id.label("before"), null().label("after"))
    come = select(null().label("before"), version_spans.c.version_id.label("after"))
    either = union_all(
        gone.where(_only_at(collection_id, start, end)), come.where(_only_at(collection_id, end, start))
    ).subquery()
    same = (versions.c.collection_id == collection_id) & (
        versions.c.version_id == func.coalesce(either.c.before, either.c.after)
    )
    return (
        select(
            versions.c.doc_id,
            func.max(either.c.before).label("before"),
            func.max(either.c.after).label("after"),
        )
        .select_from(either.join(versions, same))
        .group_by(versions.c.doc_id)
    )


def _only_at(collection_id: str, here: int, there: int) -> ColumnElement[bool]:
    """Spans that contain one generation, of versions that are not visible at the other."""
    other = version_spans.alias()
    elsewhere = exists().where(
        other.c.collection_id == collection_id,
        other.c.version_id == version_spans.c.version_id,
        other.c.from_generation <= there,
        or_(other.c.to_generation.is_(None), other.c.to_generation > there),
    )
    return and_(
        version_spans.c.collection_id == collection_id,
        version_spans.c.from_generation <= here,
        or_(version_spans.c.to_generation.is_(None), version_spans.c.to_generation > here),
        ~elsewhere,
    )
