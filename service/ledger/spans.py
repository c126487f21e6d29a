"""Which versions of documents are visible at which generation, and what two generations have not in common."""

from collections.abc import Collection, Iterator, Sequence
from typing import NamedTuple

from sqlalchemy import (
    ColumnElement,
    Connection,
    FromClause,
    Select,
    and_,
    exists,
    func,
    null,
    or_,
    select,
    union_all,
)

from service.ledger.database import AnyRow
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


def visible_at(c: Connection, collection_id: str, generation: int) -> set[int]:
    """The versions that are visible at a generation."""
    query = select(version_spans.c.version_id).where(_at(version_spans, collection_id, generation))
    return set(c.execute(query).scalars())


def in_state_at(c: Connection, collection_id: str, state: str, generation: int) -> Sequence[AnyRow]:
    """The versions that were visible at a generation, of documents that are in this state now."""
    of_version = (versions.c.collection_id == collection_id) & (
        versions.c.version_id == version_spans.c.version_id
    )
    of_document = (documents.c.collection_id == collection_id) & (documents.c.doc_id == versions.c.doc_id)
    joined = version_spans.join(versions, of_version).join(documents, of_document)
    query = select(versions).select_from(joined).where(_at(version_spans, collection_id, generation))
    return c.execute(query.where(documents.c.state == state)).all()


def turn_back(
    c: Connection, collection_id: str, start: int, end: int, without: Collection[int]
) -> tuple[list[int], list[int]]:
    """(Versions that leave, versions that come back) on the way from one generation to an earlier one."""
    leave = select(version_spans.c.version_id).where(_only_at(collection_id, start, end))
    come = select(version_spans.c.version_id).where(_only_at(collection_id, end, start))
    back = [version_id for version_id in c.execute(come).scalars() if version_id not in without]
    return list(c.execute(leave).scalars()), back


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
    same = other.c.version_id == version_spans.c.version_id
    elsewhere = exists().where(same, _at(other, collection_id, there))
    return and_(_at(version_spans, collection_id, here), ~elsewhere)


def _at(spans: FromClause, collection_id: str, generation: int) -> ColumnElement[bool]:
    return and_(
        spans.c.collection_id == collection_id,
        spans.c.from_generation <= generation,
        or_(spans.c.to_generation.is_(None), spans.c.to_generation > generation),
    )
