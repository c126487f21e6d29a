"""Documents, as the last commit left them."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    bindparam,
    case,
    exists,
    func,
    insert,
    select,
    update,
)

from service.core.keys import range_of_records
from service.ledger.database import AnyRow, by_columns
from service.ledger.schema import content_head, documents, versions

_ROWS_AT_ONCE = 5_000
_KEYS_AT_ONCE = 1_000  # a statement may have only so many parameters
_LAST_CHARACTER = "\U0010ffff"
WITHDRAWN = "withdrawn"
PURGED = "purged"  # the `detail` of what has been withdrawn so thoroughly that no rollback brings it back
GONE = ("deleted", WITHDRAWN)  # vanished from the source; taken out by somebody, whatever the source has
_NO_DOCUMENT = (*GONE, "container")

# Built once: they are executed for every few folders of a listing, or for every record of a file.
_files_in = select(
    documents.c.folder, documents.c.name, case((documents.c.state == "failed", ""), else_=documents.c.stamp)
).where(
    documents.c.source_id == bindparam("the_source"),
    documents.c.folder.in_(bindparam("the_folders", expanding=True)),
    documents.c.record == "",
    documents.c.state.not_in(GONE),
)
_by_key = select(documents).where(
    documents.c.collection_id == bindparam("the_collection"), documents.c.key == bindparam("the_key")
)


def files_in(c: Connection, source_id: int, folders: Sequence[str]) -> Iterator[tuple[str, str, str]]:
    """(folder, file name, stamp) of every known file directly in these folders; stamp "" for one that failed."""
    cursor = c.execute(_files_in, {"the_source": source_id, "the_folders": folders}).cursor
    assert cursor is not None, "a SELECT has one"
    # The driver's own rows: richer ones would take longer than the query. Not all at once: there may be a million.
    while rows := cursor.fetchmany(_ROWS_AT_ONCE):
        yield from rows


def failed_in(c: Connection, source_id: int, folder: str, names: Sequence[str]) -> dict[str, tuple[str, str]]:
    """File name -> (stamp, recipe) of those of these files, directly in one folder, that failed."""
    mine = _in_folder(source_id, folder) & documents.c.name.in_(names) & (documents.c.state == "failed")
    found = c.execute(select(documents.c.name, documents.c.stamp, documents.c.recipe).where(mine))
    return {row.name: (row.stamp, row.recipe) for row in found}


def names_in(
    c: Connection, source_id: int, folder: str, generation: int, after: str, limit: int
) -> list[str]:
    """Files directly in a folder that were known at `generation`, by name; `after`: the last of the page before."""
    mine = _in_folder(source_id, folder) & documents.c.state.not_in(GONE) & (documents.c.name > after)
    old = documents.c.generation <= generation
    query = select(documents.c.name).where(mine, old).order_by(documents.c.name).limit(limit)
    return list(c.execute(query).scalars())


def folders_of(c: Connection, source_id: int) -> dict[str, int]:
    """Folder -> number of files, for every folder in which the source has a known one."""
    known = (documents.c.source_id == source_id) & (documents.c.record == "")
    known &= documents.c.state.not_in(GONE)
    query = select(documents.c.folder, func.count().label("files")).where(known).group_by(documents.c.folder)
    return {row.folder: row.files for row in c.execute(query)}


def folders_with_withdrawn(c: Connection, source_id: int) -> set[str]:
    """The folders from which somebody has taken out a file."""
    mine = (documents.c.source_id == source_id) & (documents.c.record == "")
    mine &= documents.c.state == "withdrawn"
    return set(c.execute(select(documents.c.folder).where(mine).distinct()).scalars())


def withdrawn_in(c: Connection, source_id: int, folder: str, names: Sequence[str]) -> set[str]:
    """Those of these files, directly in one folder, that somebody has taken out."""
    mine = _in_folder(source_id, folder) & (documents.c.state == "withdrawn")
    found: set[str] = set()
    for first in range(0, len(names), _KEYS_AT_ONCE):
        some = documents.c.name.in_(names[first : first + _KEYS_AT_ONCE])
        found |= set(c.execute(select(documents.c.name).where(mine, some)).scalars())
    return found


def count_of(c: Connection, source_id: int, folder: str = "") -> int:
    """How many documents, containers aside, the source owns in a folder and below it that are not deleted."""
    mine = (documents.c.source_id == source_id) & documents.c.state.not_in(_NO_DOCUMENT)
    if folder:
        # Not LIKE, for which SQLite has one case only. "0" comes after "/".
        below = (documents.c.folder >= f"{folder}/") & (documents.c.folder < f"{folder}0")
        mine &= (documents.c.folder == folder) | below
    return c.execute(select(func.count()).select_from(documents).where(mine)).scalar_one()


def count_of_files(c: Connection, collection_id: str, keys: Sequence[str]) -> int:
    """How many documents the files with these keys have, containers aside and records included."""
    count = sum(file.state not in _NO_DOCUMENT for file in of_files(c, collection_id, keys).values())
    for key in keys:  # whatever a file is now: one that failed may have kept its records
        mine = _records_of(collection_id, key) & documents.c.state.not_in(_NO_DOCUMENT)
        count += c.execute(select(func.count()).select_from(documents).where(mine)).scalar_one()
    return count


def ids_of_file(c: Connection, collection_id: str, key: str) -> list[int]:
    """The document with this key first, then all records of it where it is a file, whatever their state."""
    found = select(documents.c.doc_id).where(_records_of(collection_id, key)).order_by(documents.c.key)
    whole = by_key(c, collection_id, key)
    return [*([] if whole is None else [whole.doc_id]), *c.execute(found).scalars()]


def visible_records(c: Connection, collection_id: str, file_key: str) -> int:
    """How many records of a file can be found."""
    mine = _records_of(collection_id, file_key) & documents.c.version_id.is_not(None)
    return c.execute(select(func.count()).select_from(documents).where(mine)).scalar_one()


def count_among(c: Connection, collection_id: str, doc_ids: Collection[int]) -> int:
    """How many of these documents are there, containers aside."""
    count, ids = 0, iter(doc_ids)
    while some := list(islice(ids, _KEYS_AT_ONCE)):
        mine = (documents.c.collection_id == collection_id) & documents.c.doc_id.in_(some)
        query = (
            select(func.count()).select_from(documents).where(mine, documents.c.state.not_in(_NO_DOCUMENT))
        )
        count += c.execute(query).scalar_one()
    return count


def ids_purged(c: Connection, collection_id: str) -> set[int]:
    """The documents of which nothing is left, and which have not come in again since."""
    mine = (documents.c.collection_id == collection_id) & (documents.c.detail == PURGED)
    return set(c.execute(select(documents.c.doc_id).where(mine)).scalars())


def unread_without_version(c: Connection, collection_id: str) -> None:
    """Documents that are said to have a version which was purged: the next job reads them anew."""
    same = (versions.c.collection_id == collection_id) & (versions.c.version_id == documents.c.version_id)
    mine = (documents.c.collection_id == collection_id) & documents.c.version_id.is_not(None)
    unread = {"state": "pending", "version_id": None, "chunks": 0, "stamp": "", "file_sha256": ""}
    c.execute(update(documents).where(mine, ~exists().where(same)).values(**unread, content_sha256=""))


def ids_in_state(c: Connection, collection_id: str, state: str) -> set[int]:
    """The documents in a state."""
    mine = (documents.c.collection_id == collection_id) & (documents.c.state == state)
    return set(c.execute(select(documents.c.doc_id).where(mine)).scalars())


def count_by_state(c: Connection, collection_id: str) -> dict[str, int]:
    """State -> number of documents."""
    mine = documents.c.collection_id == collection_id
    query = select(documents.c.state, func.count()).where(mine).group_by(documents.c.state)
    return {row[0]: row[1] for row in c.execute(query)}


def of_files(c: Connection, collection_id: str, keys: Sequence[str]) -> dict[str, AnyRow]:
    """Key -> document row of the files with these keys, deleted ones included."""
    found: dict[str, AnyRow] = {}
    for first in range(0, len(keys), _KEYS_AT_ONCE):
        some = documents.c.key.in_(keys[first : first + _KEYS_AT_ONCE])
        mine = (documents.c.collection_id == collection_id) & some
        found |= {row.key: row for row in c.execute(select(documents).where(mine))}
    return found


def records_of(
    c: Connection, collection_id: str, file_key: str, after: str = "", limit: int = 1000
) -> Sequence[AnyRow]:
    """The records of a file by key, deleted ones included; `after`: the last key of the page before."""
    mine = _records_of(collection_id, file_key) & (documents.c.key > after)
    return c.execute(select(documents).where(mine).order_by(documents.c.key).limit(limit)).all()


def by_key(c: Connection, collection_id: str, key: str) -> AnyRow | None:
    """The document with this key, deleted or not."""
    return c.execute(_by_key, {"the_collection": collection_id, "the_key": key}).first()


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
    """Documents by id; `after` is the last doc_id of the page before. Containers and what is gone only when asked for."""
    query = select(documents).where(documents.c.collection_id == collection_id, documents.c.doc_id > after)
    query = query.where(documents.c.state == state if state else documents.c.state.not_in(_NO_DOCUMENT))
    if prefix:
        query = query.where(documents.c.key >= prefix, documents.c.key < f"{prefix}{_LAST_CHARACTER}")
    return c.execute(query.order_by(documents.c.doc_id).limit(limit)).all()


def save(c: Connection, new: Sequence[Mapping[str, Any]], changed: Sequence[Mapping[str, Any]]) -> None:
    """Insert new documents and update known ones; every mapping of a list has the same keys."""
    if new:
        c.execute(insert(documents), list(new))
    for names, rows in by_columns(changed).items():
        same = (documents.c.collection_id == bindparam("the_collection")) & (
            documents.c.doc_id == bindparam("the_doc")
        )
        c.execute(update(documents).where(same).values({name: bindparam(name) for name in names}), rows)


def _in_folder(source_id: int, folder: str) -> ColumnElement[bool]:
    same = (documents.c.source_id == source_id) & (documents.c.folder == folder)
    return same & (documents.c.record == "")


def _records_of(collection_id: str, file_key: str) -> ColumnElement[bool]:
    first, beyond = range_of_records(file_key)
    return (
        (documents.c.collection_id == collection_id) & (documents.c.key >= first) & (documents.c.key < beyond)
    )
