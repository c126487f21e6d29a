"""Building a `.chunks` file in memory: from records, or from the kept rows of other `.chunks` files."""

import json
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

import numpy as np

from service.index.records import ChunkRecord, Mask, SegmentContents, text_hash
from service.index.texts import blocks, stitch

FORMAT = "tidestone-chunks-1"

_SCHEMA = """
PRAGMA foreign_keys = ON;
CREATE TABLE meta(key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE versions(version INTEGER PRIMARY KEY, doc_id INTEGER NOT NULL, key TEXT NOT NULL,
  title TEXT NOT NULL, metadata TEXT NOT NULL, content_sha256 TEXT NOT NULL);
CREATE INDEX versions_by_key ON versions(key);
CREATE TABLE texts(version INTEGER NOT NULL REFERENCES versions, start INTEGER NOT NULL,
  stop INTEGER NOT NULL, text BLOB NOT NULL, PRIMARY KEY(version, start));
CREATE TABLE chunks("row" INTEGER PRIMARY KEY, version INTEGER NOT NULL REFERENCES versions,
  ordinal INTEGER NOT NULL, start INTEGER NOT NULL, stop INTEGER NOT NULL, tokens INTEGER NOT NULL,
  text_hash BLOB NOT NULL, UNIQUE(version, ordinal));
CREATE TEMP TABLE kept(source INTEGER, old INTEGER, new INTEGER, PRIMARY KEY(source, old)) WITHOUT ROWID;
CREATE TEMP TABLE wanted(version INTEGER PRIMARY KEY);
"""
# Two pieces of a document may begin alike where a segment was flushed between them: the longer covers both.
_LONGER = """ON CONFLICT(version, start) DO UPDATE SET stop = excluded.stop, text = excluded.text
  WHERE excluded.stop > texts.stop"""
_WANT = """INSERT OR IGNORE INTO wanted
  SELECT version FROM kept JOIN input.chunks ON "row" = old WHERE source = ? ORDER BY version"""
_COPY_VERSIONS = """INSERT OR IGNORE INTO versions
  SELECT v.* FROM input.versions v JOIN wanted USING (version) ORDER BY version"""
_COPY_TEXTS = f"""INSERT INTO texts
  SELECT t.* FROM input.texts t JOIN wanted USING (version) WHERE true ORDER BY version, start {_LONGER}"""
_COPY_CHUNKS = """INSERT INTO chunks SELECT new, version, ordinal, start, stop, tokens, text_hash
  FROM kept JOIN input.chunks ON "row" = old WHERE source = ? ORDER BY new"""


def build(meta: Mapping[str, str], contents: SegmentContents) -> bytes:
    """The file's bytes, a function of the arguments alone.

    Raises ValueError when a chunk's text is not covered, sqlite3.IntegrityError when a chunk comes twice or a
    version is not described.
    """
    versions = (
        (v.version, v.doc_id, v.key, v.title, _json(v.metadata), v.content_sha256) for v in contents.versions
    )
    with closing(_empty(meta)) as database:
        database.executemany("INSERT INTO versions VALUES (?,?,?,?,?,?)", sorted(versions))
        database.executemany(f"INSERT INTO texts VALUES (?,?,?,?) {_LONGER}", sorted(blocks(contents.texts)))
        database.executemany("INSERT INTO chunks VALUES (?,?,?,?,?,?,?)", _rows(contents))
        database.commit()
        return database.serialize()


def merge(meta: Mapping[str, str], inputs: Sequence[tuple[Path, Mask]]) -> bytes:
    """The bytes of one file with the kept rows of several verified ones, renumbered from 0 in their order.

    A version keeps its text from every input if it keeps a row in any.
    """
    with closing(_empty(meta)) as database:
        base = 0
        for source, (_, kept) in enumerate(inputs):
            old = np.flatnonzero(kept).tolist()
            new = range(base, base := base + len(old))
            rows = ((source, before, after) for before, after in zip(old, new, strict=True))
            database.executemany("INSERT INTO kept VALUES (?,?,?)", rows)
        for source, (path, _) in enumerate(inputs):
            with _attached(database, path):
                database.execute(_WANT, (source,))
        for source, (path, _) in enumerate(inputs):
            with _attached(database, path):
                database.execute(_COPY_VERSIONS)
                database.execute(_COPY_TEXTS)
                database.execute(_COPY_CHUNKS, (source,))
        return database.serialize()


def _empty(meta: Mapping[str, str]) -> sqlite3.Connection:
    database = sqlite3.connect("file::memory:", uri=True)  # uri: what is attached is opened immutable
    database.executescript(_SCHEMA)
    database.executemany("INSERT INTO meta VALUES (?,?)", sorted({**meta, "format": FORMAT}.items()))
    return database


@contextmanager
def _attached(database: sqlite3.Connection, path: Path) -> Iterator[None]:
    database.commit()
    database.execute("ATTACH ? AS input", (f"{path.absolute().as_uri()}?immutable=1&mode=ro",))
    yield
    database.commit()
    database.execute("DETACH input")


def _rows(contents: SegmentContents) -> Iterator[tuple[int, int, int, int, int, int, bytes]]:
    texts: dict[int, list[tuple[int, str]]] = {}
    for record in sorted(contents.texts, key=lambda record: (record.version, record.start)):
        texts.setdefault(record.version, []).append((record.start, record.text))
    for row, chunk in enumerate(contents.chunks):
        yield row, *_columns(chunk), text_hash(stitch(texts.get(chunk.version, ()), chunk.start, chunk.stop))


def _columns(chunk: ChunkRecord) -> tuple[int, int, int, int, int]:
    return chunk.version, chunk.ordinal, chunk.start, chunk.stop, chunk.tokens


def _json(metadata: Mapping[str, str]) -> str:
    return json.dumps(dict(metadata), sort_keys=True, ensure_ascii=False)
