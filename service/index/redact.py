"""Rewrite a segment's files without what they say of a document; its rows keep their numbers and its key stays."""

import json
import sqlite3
import zlib
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path

import numpy as np

from service.index.files import StoredFile, sync_folder, verify, write_new, write_stream
from service.index.flatfile import mapped
from service.index.records import SegmentId

_BLOCK_ROWS = 4_096
_NO_HASH = bytes(16)
# What is redacted already is not found again: it has no hash.
_OF_KEYS = "content_sha256 != '' AND ({})"
_ROWS = 'SELECT "row" FROM chunks JOIN versions USING (version) WHERE {} ORDER BY "row"'
_VERSIONS = "SELECT version FROM versions WHERE {}"

KeyRange = tuple[str, str]  # half-open, by code points


def rows_of(path: Path, keys: Sequence[KeyRange]) -> list[int]:
    """The rows of documents with these keys in a `.chunks` file. Raises sqlite3.DatabaseError for a damaged one."""
    which, values = _which(keys)
    with closing(_open(path)) as database:
        return [row[0] for row in database.execute(_ROWS.format(which), values)]


def is_of(path: Path, keys: Sequence[KeyRange], doc_ids: Sequence[int]) -> bool:
    """Whether a `.chunks` file that may be damaged says anything of documents with these keys or ids.

    All of it is looked through: a byte of a key, or of the index of keys, may be what has rotted. Raises
    sqlite3.DatabaseError where it cannot be read.
    """
    either, values = _which(keys)
    statement = (
        f"SELECT 1 FROM versions NOT INDEXED WHERE {either} OR doc_id IN (SELECT value FROM json_each(?))"
    )
    with closing(_open(path)) as database:
        return database.execute(statement, [*values, json.dumps(doc_ids)]).fetchone() is not None


def redact(
    root: Path, files: tuple[StoredFile, StoredFile], target: SegmentId, keys: Sequence[KeyRange]
) -> tuple[StoredFile, StoredFile]:
    """Verify a segment's (vectors, chunks), and write both anew under the target's names: of the documents with these
    keys the vectors are zero, the texts blank, titles, metadata and hashes empty. Raises Corrupt, TryAgain.
    """
    vectors, chunks = (verify(root, file) for file in files)
    rows = rows_of(chunks, keys)
    written = (
        write_stream(root, target.vectors, _zeroed(vectors, rows), "vectors"),
        write_new(root, target.chunks, _blanked(chunks, keys), "chunks"),
    )
    sync_folder(root / "segments")
    return written


def _zeroed(path: Path, rows: Sequence[int]) -> Iterator[bytes]:
    """The bytes of a flat FAISS file, block by block, with these rows zero."""
    index = mapped(path)
    width = index.d * 4
    with path.open("rb") as file:
        yield file.read(path.stat().st_size - index.ntotal * width)
        chosen = np.zeros(index.ntotal, np.bool_)
        chosen[list(rows)] = True
        for first in range(0, index.ntotal, _BLOCK_ROWS):
            mask = chosen[first : first + _BLOCK_ROWS]
            block = np.frombuffer(file.read(len(mask) * width), np.uint8).reshape(len(mask), width).copy()
            block[mask] = 0
            yield block.tobytes()


def _blanked(path: Path, keys: Sequence[KeyRange]) -> bytes:
    which, values = _which(keys)
    with closing(sqlite3.connect(":memory:")) as database:
        with closing(_open(path)) as source:
            source.backup(database)
        versions = [row[0] for row in database.execute(_VERSIONS.format(which), values)]
        for version in versions:
            _blank(database, version)
        database.commit()
        database.execute("VACUUM")  # what was overwritten is not left in a free page
        return database.serialize()


def _blank(database: sqlite3.Connection, version: int) -> None:
    texts = database.execute("SELECT start, stop FROM texts WHERE version = ?", (version,)).fetchall()
    database.executemany(
        "UPDATE texts SET text = ? WHERE version = ? AND start = ?",
        [(zlib.compress(b" " * (stop - start)), version, start) for start, stop in texts],
    )
    database.execute("UPDATE chunks SET text_hash = ? WHERE version = ?", (_NO_HASH, version))
    emptied = "UPDATE versions SET title = '', metadata = '{}', content_sha256 = '' WHERE version = ?"
    database.execute(emptied, (version,))


def _which(keys: Sequence[KeyRange]) -> tuple[str, list[str]]:
    either = " OR ".join(["(key >= ? AND key < ?)"] * len(keys))
    return _OF_KEYS.format(either), [bound for pair in keys for bound in pair]


def _open(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(f"{path.absolute().as_uri()}?immutable=1&mode=ro", uri=True)
