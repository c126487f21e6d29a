"""Versions of documents: which are unfinished, which are visible now."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Select, bindparam, delete, exists, func, insert, select, update

from service.ledger.database import AnyRow, by_columns
from service.ledger.schema import documents, literally, version_spans, versions

_WHERE_FROM = ("key", "source_id", "folder", "name", "record")
_ROWS_AT_ONCE = 5_000


def by_id(c: Connection, collection_id: str, version_id: int) -> AnyRow:
    """One version."""
    same = (versions.c.collection_id == collection_id) & (versions.c.version_id == version_id)
    return c.execute(select(versions).where(same)).one()


def of_documents(c: Connection, collection_id: str, doc_ids: Sequence[int], limit: int) -> Sequence[AnyRow]:
    """Versions that these documents have had, the newest first."""
    mine = (versions.c.collection_id == collection_id) & versions.c.doc_id.in_(doc_ids)
    return c.execute(select(versions).where(mine).order_by(versions.c.version_id.desc()).limit(limit)).all()


def unfinished(c: Connection, collection_id: str) -> Sequence[AnyRow]:
    """Versions whose last chunk has not been committed."""
    mine = (versions.c.collection_id == collection_id) & literally(versions.c.state, "unfinished")
    return c.execute(select(versions).where(mine)).all()


def unfinished_of(c: Connection, collection_id: str, doc_id: int) -> Sequence[AnyRow]:
    """A document's versions whose last chunk has not been committed."""
    mine = (versions.c.collection_id == collection_id) & (versions.c.doc_id == doc_id)
    return c.execute(select(versions).where(mine, literally(versions.c.state, "unfinished"))).all()


def settled_up_to(c: Connection, collection_id: str, next_doc_id: int) -> int:
    """The highest id up to which no document waits for the rest of its chunks."""
    mine = (versions.c.collection_id == collection_id) & literally(versions.c.state, "unfinished")
    first = c.execute(select(func.min(versions.c.doc_id)).where(mine)).scalar()
    return int(first or next_doc_id) - 1


def save(c: Connection, new: Sequence[Mapping[str, Any]], changed: Sequence[Mapping[str, Any]]) -> None:
    """Insert new versions, and update versions that an earlier commit had left unfinished."""
    if new:
        c.execute(insert(versions), list(new))
    for names, rows in by_columns(changed).items():
        same = (versions.c.collection_id == bindparam("the_collection")) & (
            versions.c.version_id == bindparam("the_version")
        )
        c.execute(update(versions).where(same).values({name: bindparam(name) for name in names}), rows)


def abandon(c: Connection, collection_id: str, version_ids: Collection[int]) -> None:
    """Nobody will finish these versions, as far as they are not finished."""
    rows = [{"the_version": version_id} for version_id in version_ids]
    if rows:
        mine = (versions.c.collection_id == collection_id) & (versions.c.state == "unfinished")
        mine &= versions.c.version_id == bindparam("the_version")
        c.execute(update(versions).where(mine).values(state="abandoned"), rows)


def forget(c: Connection, collection_id: str, doc_ids: Sequence[int]) -> None:
    """No generation has ever had these documents."""
    mine = (versions.c.collection_id == collection_id) & versions.c.doc_id.in_(doc_ids)
    theirs = version_spans.c.version_id.in_(select(versions.c.version_id).where(mine))
    c.execute(delete(version_spans).where(version_spans.c.collection_id == collection_id, theirs))
    c.execute(delete(versions).where(mine))


def open_spans(c: Connection, collection_id: str, version_ids: Sequence[int], generation: int) -> None:
    """Versions are visible from `generation` on."""
    rows = [
        {"collection_id": collection_id, "version_id": version_id, "from_generation": generation}
        for version_id in version_ids
    ]
    if rows:
        c.execute(insert(version_spans), rows)


def close_spans(c: Connection, collection_id: str, version_ids: Sequence[int], generation: int) -> None:
    """Versions are not visible any more from `generation` on."""
    rows = [{"the_version": version_id} for version_id in version_ids]
    if rows:
        c.execute(
            update(version_spans)
            .where(
                version_spans.c.collection_id == collection_id,
                version_spans.c.version_id == bindparam("the_version"),
                version_spans.c.to_generation.is_(None),
            )
            .values(to_generation=generation),
            rows,
        )


def live(c: Connection, collection_id: str) -> Iterator[AnyRow]:
    """Every version that is visible now, with its document's key."""
    yield from c.execute(_live(collection_id))


def live_sizes(c: Connection, collection_id: str) -> Iterator[tuple[int, int]]:
    """(version, chunks) of every version that is visible now, in ascending order."""
    visible = (version_spans.c.collection_id == collection_id) & version_spans.c.to_generation.is_(None)
    same = (versions.c.version_id == version_spans.c.version_id) & (
        versions.c.collection_id == version_spans.c.collection_id
    )
    query = select(versions.c.version_id, versions.c.chunks).join(version_spans, same).where(visible)
    for row in c.execute(query.order_by(versions.c.version_id)).yield_per(_ROWS_AT_ONCE):
        yield row.version_id, row.chunks


def count_visible(c: Connection, collection_id: str) -> int:
    """How many versions are visible now, counted."""
    visible = (version_spans.c.collection_id == collection_id) & version_spans.c.to_generation.is_(None)
    return c.execute(select(func.count()).select_from(version_spans).where(visible)).scalar_one()


def strays(c: Connection, collection_id: str, limit: int | None = None) -> Sequence[AnyRow]:
    """Versions, with their documents' keys, that are visible although their documents have another, or none."""
    other = documents.c.version_id.is_(None) | (documents.c.version_id != versions.c.version_id)
    return c.execute(_live(collection_id).where(other).limit(limit)).all()


def unseen(c: Connection, collection_id: str, limit: int | None = None) -> Sequence[AnyRow]:
    """Documents that are said to have a version which is not visible."""
    visible = exists().where(
        version_spans.c.collection_id == documents.c.collection_id,
        version_spans.c.version_id == documents.c.version_id,
        version_spans.c.to_generation.is_(None),
    )
    mine = (documents.c.collection_id == collection_id) & documents.c.version_id.is_not(None)
    return c.execute(select(documents).where(mine, ~visible).limit(limit)).all()


def key_of(c: Connection, collection_id: str, version_id: int) -> str:
    """The key of the document that a version is of."""
    same = (versions.c.collection_id == documents.c.collection_id) & (versions.c.doc_id == documents.c.doc_id)
    mine = (versions.c.collection_id == collection_id) & (versions.c.version_id == version_id)
    return str(c.execute(select(documents.c.key).join(versions, same).where(mine)).scalar_one())


def _live(collection_id: str) -> Select[Any]:
    visible = (version_spans.c.collection_id == collection_id) & version_spans.c.to_generation.is_(None)
    joined = versions.join(
        version_spans,
        (versions.c.version_id == version_spans.c.version_id)
        & (versions.c.collection_id == version_spans.c.collection_id),
    ).join(
        documents,
        (documents.c.doc_id == versions.c.doc_id) & (documents.c.collection_id == versions.c.collection_id),
    )
    where_from = [documents.c[name] for name in _WHERE_FROM]
    return select(versions, *where_from).select_from(joined).where(visible)
