"""Prove that a document is out: what is published is opened afresh, and asked for it."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from service.core.keys import file_of, range_of_records
from service.engine.holding import Holding
from service.errors import Corrupt
from service.index.chunkfile import ChunkFile
from service.index.files import StoredFile, verify
from service.index.flatfile import read_rows
from service.ledger import documents, segments, versions
from service.ledger.database import AnyRow
from service.reader import Collection, Damaged, Snapshot, Vector

MOST_ASKED = 200  # former vectors
_HITS = 10


def former_vectors(holding: Holding, doc_ids: Sequence[int]) -> list[Vector]:
    """Vectors that versions of these documents have had, the newest first, as far as files still have them.

    At most MOST_ASKED, of as many documents: each of them costs a search.
    """
    state, found = holding.state, list[Vector]()
    with holding.ledger.read() as c:
        candidates = versions.of_documents(c, state.id, doc_ids[:MOST_ASKED], MOST_ASKED)
    sound: dict[int, bool] = {}
    for version in candidates:
        for segment, rows in _rows_of(holding, version, sound):
            vectors = read_rows(state.folder / segment.faiss["name"], state.space.dimensions, rows)
            # Another number of them: from before a switch to another model, of no use to ask with.
            found += [vector for vector in vectors if len(vector) == state.space.dimensions]
            if len(found) >= MOST_ASKED:
                return found[:MOST_ASKED]
    return found


def document_ids(holding: Holding, key: str) -> list[int]:
    """The document with this key, and the records of it where it is a file."""
    with holding.ledger.read() as c:
        return documents.ids_of_file(c, holding.state.id, key)


def is_out(folder: Path, key: str, generation: int, vectors: Sequence[Vector]) -> bool:
    """Whether the published manifest, at this generation or above, has no row of the document with this key.

    Of a file's key: neither of the file nor of its records. Nor does a search with any of its former vectors find it.
    """
    try:
        snapshot = Collection.open(folder).snapshot()
    except (Damaged, FileNotFoundError):
        return False
    if snapshot.generation < generation or _has(snapshot, key):
        return False
    hits = (hit for vector in vectors for hit in snapshot.search(vector, _HITS))
    return not any(hit.key == key or (is_file(key) and file_of(hit.key) == key) for hit in hits)


def is_file(key: str) -> bool:
    """Whether a key names a file, and with it all its records."""
    return file_of(key) == key


def _has(snapshot: Snapshot, key: str) -> bool:
    alone = snapshot.has(key, f"{key}\0")
    return alone or (is_file(key) and snapshot.has(*range_of_records(key)))


def _rows_of(holding: Holding, version: AnyRow, sound: dict[int, bool]) -> Iterator[tuple[AnyRow, list[int]]]:
    """The segments of any generation that hold rows of a version, newest first, until it is whole."""
    folder, missing = holding.state.folder, version.chunks
    with holding.ledger.read() as c:
        covering = segments.covering(c, holding.state.id, version.first_batch, version.last_batch)
    for segment in covering:
        if missing <= 0:
            return
        if segment.segment_id not in sound:
            sound[segment.segment_id] = _is_sound(folder, segment)
        if sound[segment.segment_id]:
            with ChunkFile(folder / segment.chunks["name"]) as chunks:
                rows = [row.row for row in chunks.rows_of_version(version.version_id)]
            missing -= len(rows)
            yield segment, rows


def _is_sound(folder: Path, segment: AnyRow) -> bool:
    try:
        for file in (segment.faiss, segment.chunks):
            verify(folder, StoredFile(**file))
    except Corrupt:
        return False
    return True
