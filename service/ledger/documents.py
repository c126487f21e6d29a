"""Documents and their versions, as the last commit left them."""

from collections.abc import Container, Iterator, Mapping, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, bindparam, case, func, insert, select, update

from service.ledger.database import AnyRow
from service.ledger.schema import content_head, documents, literally, version_spans, versions

_WHERE_FROM = ("key", "source_id", "folder", "name", "record")

# Built once: it is executed for every few folders of a listing.
_files_in = select(
    documents.c.folder, documents.c.name, case((documents.c.state == "failed", ""), else_=documents.c.stamp)
).where(
    documents.c.source_id == bindparam("the_source"),
    documents.c.folder.in_(bindparam("the_folders", expanding=True)),
    documents.c.record == "",
    documents.c.state != "deleted",
)


def files_in(c: Connection, source_id: int, folders: Sequence[str]) -> dict[str, dict[str, str]]:
    """Folder -> file name -> stamp of every known file directly in it; "" for a file that failed."""
    found: dict[str, dict[str, str]] = {folder: {} for folder in folders}
    cursor = c.execute(_files_in, {"the_source": source_id, "the_folders": folders}).cursor
    assert cursor is not None, "a SELECT has one"
    for (
        folder,
        name,
        stamp,
    ) in cursor.fetchall():  # the driver's own: richer rows would take longer than the query
        found[folder][name] = stamp
    return found


def failed_in(c: Connection, source_id: int, folder: str) -> dict[str, tuple[str, str]]:
    """File name -> (stamp, recipe) of every file directly in a folder that failed."""
    mine = _in_folder(source_id, folder) & (documents.c.state == "failed")
    found = c.execute(select(documents.c.name, documents.c.stamp, documents.c.recipe).where(mine))
    return {row.name: (row.stamp, row.recipe) for row in found}


def names_in(c: Connection, source_id: int, folder: str, generation: int) -> list[str]:
    """Every file directly in a folder that was known at `generation`."""
    mine = _in_folder(source_id, folder) & (documents.c.state != "deleted")
    old = documents.c.generation <= generation
    return list(c.execute(select(documents.c.name).where(mine, old)).scalars())


def folders_of(c: Connection, source_id: int) -> dict[str, int]:
    """Folder -> number of documents, for every folder in which the source has a known one."""
    known = (documents.c.source_id == source_id) & (documents.c.state != "deleted")
    query = select(documents.c.folder, func.count().label("files")).where(known).group_by(documents.c.folder)
    return {row.folder: row.files for row in c.execute(query)}


def count_of(c: Connection, source_id: int) -> int:
    """How many documents, containers aside, the source owns that are not deleted."""
    mine = (documents.c.source_id == source_id) & documents.c.state.not_in(("deleted", "container"))
    return c.execute(select(func.count()).select_from(documents).where(mine)).scalar_one()


def count_of_files(c: Connection, source_id: int, folder: str, names: Container[str]) -> int:
    """How many documents these files of one folder have, containers aside and records included."""
    mine = (documents.c.source_id == source_id) & (documents.c.folder == folder)
    mine &= documents.c.state.not_in(("deleted", "container"))
    query = select(documents.c.name, func.count()).where(mine).group_by(documents.c.name)
    return sum(row[1] for row in c.execute(query) if row[0] in names)


def count_by_state(c: Connection, collection_id: str) -> dict[str, int]:
    """State -> number of documents."""
    mine = documents.c.collection_id == collection_id
    query = select(documents.c.state, func.count()).where(mine).group_by(documents.c.state)
    return {row[0]: row[1] for row in c.execute(query)}


def of_file(c: Connection, source_id: int, folder: str, name: str) -> dict[str, AnyRow]:
    """Record id ("" for the file itself) -> document row, deleted ones included."""
    query = select(documents).where(
        documents.c.source_id == source_id, documents.c.folder == folder, documents.c.name == name
    )
    return {row.record: row for row in c.execute(query)}


def by_key(c: Connection, collection_id: str, key: str) -> AnyRow | None:
    """The document with this key, deleted or not."""
    same = (documents.c.collection_id == collection_id) & (documents.c.key == key)
    return c.execute(select(documents).where(same)).first()


def by_id(c: Connection, collection_id: str, doc_id: int) -> AnyRow | None:
    """The document with this id."""
    same = (documents.c.collection_id == collection_id) & (documents.c.doc_id == doc_id)
    return c.execute(select(documents).where(same)).first()


def with_content(c: Connection, collection_id: str, content_sha256: str) -> AnyRow | None:
    """Any indexed document with this cleaned text: its vectors can be used again."""
    mine = (documents.c.collection_id == collection_id) & (documents.c.state == "indexed")
    # The whole hash is not in the condition: SQLite would put its value into the index's expression, and scan.
    found = c.execute(select(documents).where(content_head == content_sha256[:8], mine))
    return next((row for row in found if row.content_sha256 == content_sha256), None)


def listing(
    c: Connection,
    collection_id: str,
    *,
    state: str | None = None,
    prefix: str = "",
    after: int = 0,
    limit: int = 100,
) -> Sequence[AnyRow]:
    """Documents by id; `after` is the last doc_id of the page before. Containers only when asked for."""
    query = select(documents).where(documents.c.collection_id == collection_id, documents.c.doc_id > after)
    query = query.where(
        documents.c.state == state if state else documents.c.state.not_in(("deleted", "container"))
    )
    if prefix:
        query = query.where(documents.c.key.startswith(prefix, autoescape=True))
    return c.execute(query.order_by(documents.c.doc_id).limit(limit)).all()


def save(c: Connection, new: Sequence[Mapping[str, Any]], changed: Sequence[Mapping[str, Any]]) -> None:
    """Insert new documents and update known ones; every mapping of a list has the same keys."""
    if new:
        c.execute(insert(documents), list(new))
    for names, rows in _by_columns(changed).items():
        same = (documents.c.collection_id == bindparam("the_collection")) & (
            documents.c.doc_id == bindparam("the_doc")
        )
        c.execute(update(documents).where(same).values({name: bindparam(name) for name in names}), rows)


def version(c: Connection, collection_id: str, version_id: int) -> AnyRow:
    """One version."""
    same = (versions.c.collection_id == collection_id) & (versions.c.version_id == version_id)
    return c.execute(select(versions).where(same)).one()


def unfinished_versions(c: Connection, collection_id: str) -> Sequence[AnyRow]:
    """Versions whose last chunk has not been committed."""
    mine = (versions.c.collection_id == collection_id) & literally(versions.c.state, "unfinished")
    return c.execute(select(versions).where(mine)).all()


def unfinished_of(c: Connection, collection_id: str, doc_id: int) -> Sequence[AnyRow]:
    """A document's versions whose last chunk has not been committed."""
    mine = (versions.c.collection_id == collection_id) & (versions.c.doc_id == doc_id)
    return c.execute(select(versions).where(mine, literally(versions.c.state, "unfinished"))).all()


def save_versions(
    c: Connection, new: Sequence[Mapping[str, Any]], changed: Sequence[Mapping[str, Any]]
) -> None:
    """Insert new versions, and update versions that an earlier commit had left unfinished."""
    if new:
        c.execute(insert(versions), list(new))
    for names, rows in _by_columns(changed).items():
        same = (versions.c.collection_id == bindparam("the_collection")) & (
            versions.c.version_id == bindparam("the_version")
        )
        c.execute(update(versions).where(same).values({name: bindparam(name) for name in names}), rows)


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


def live_versions(c: Connection, collection_id: str) -> Iterator[AnyRow]:
    """Every version that is visible now, with its document's key."""
    visible = (version_spans.c.collection_id == collection_id) & version_spans.c.to_generation.is_(None)
    joined = versions.join(
        version_spans,
        (versions.c.version_id == version_spans.c.version_id)
        & (versions.c.collection_id == version_spans.c.collection_id),
    ).join(
        documents,
        (documents.c.doc_id == versions.c.doc_id) & (documents.c.collection_id == versions.c.collection_id),
    )
    yield from c.execute(
        select(versions, *(documents.c[name] for name in _WHERE_FROM)).select_from(joined).where(visible)
    )


def _in_folder(source_id: int, folder: str) -> ColumnElement[bool]:
    same = (documents.c.source_id == source_id) & (documents.c.folder == folder)
    return same & (documents.c.record == "")


def _by_columns(rows: Sequence[Mapping[str, Any]]) -> dict[tuple[str, ...], list[Mapping[str, Any]]]:
    """Rows that change the same columns share a statement; `the_…` entries only select the row."""
    groups: dict[tuple[str, ...], list[Mapping[str, Any]]] = {}
    for row in rows:
        names = tuple(sorted(name for name in row if not name.startswith("the_")))
        groups.setdefault(names, []).append(row)
    return groups
