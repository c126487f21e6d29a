"""Reading a published collection, with numpy, faiss and the standard library alone.

Import it or copy it. It only reads: another user and a read-only mount will do.
"""

import hashlib
import json
import sqlite3
import struct
import threading
import weakref
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import faiss
import numpy as np
import numpy.typing as npt

_FORMAT = "tidestone-manifest-1"
_SEAL = b',"sha256":"'
_LIVE_HEADER = struct.Struct("<8sII")  # magic, rows, rows alive
_BLOCK_CHARACTERS = 4_096  # no stored block of text is longer
_EXACT_BELOW = 0.02  # of a segment's rows: so few are compared faster than all codes are scanned
_REMEMBERED_FILTERS = 32  # per segment; 16 KB each at most
_CHUNKS = """SELECT "row", version, ordinal, start, stop, key, title, doc_id, metadata, content_sha256
  FROM versions JOIN chunks USING (version) WHERE """
_TEXTS = "SELECT start, text FROM texts WHERE version = ? AND start > ? AND start < ? ORDER BY start"

Vector = npt.NDArray[np.float32]
Numbers = npt.NDArray[np.int64]


class Damaged(Exception):
    """A file is missing or not what the manifest says. Nothing was answered from it."""

    def __init__(self, path: Path, expected: str, found: str) -> None:
        super().__init__(f"{path}: expected {expected}, found {found}")
        self.path, self.expected, self.found = path, expected, found


class Hit(NamedTuple):
    """A chunk that was found. A higher score is nearer: the cosine, or the negated squared L2 distance."""

    score: float
    key: str
    title: str
    text: str
    ordinal: int
    version: int
    doc_id: int
    metadata: Mapping[str, str]


class Chunk(NamedTuple):
    """Characters [start, stop) of a document's text."""

    ordinal: int
    start: int
    stop: int
    text: str


class Document(NamedTuple):
    """A document's live version, whole."""

    key: str
    version: int
    doc_id: int
    title: str
    metadata: Mapping[str, str]
    text: str
    chunks: Sequence[Chunk]


class Row(NamedTuple):
    """One live chunk and its vector, float32, shape (dimensions,)."""

    key: str
    version: int
    ordinal: int
    text: str
    vector: Vector


class _Mask(NamedTuple):
    """Some of a segment's rows: one bit per row, least significant first, and how many are set."""

    bits: npt.NDArray[np.uint8]
    chosen: int

    @classmethod
    def of(cls, bits: npt.NDArray[np.uint8]) -> "_Mask":
        return cls(bits, int.from_bytes(bits.tobytes(), "little").bit_count())

    def __and__(self, other: "_Mask | None") -> "_Mask":
        return self if other is None else _Mask.of(self.bits & other.bits)

    def has(self, row: int) -> bool:
        return bool(self.bits[row >> 3] >> (row & 7) & 1)

    def rows(self, among: int) -> Numbers:
        return np.flatnonzero(np.unpackbits(self.bits, count=among, bitorder="little").view(np.bool_))


class _Rows(NamedTuple):
    """Rows of several segments, each with its score and its segment's place in the snapshot."""

    scores: Vector
    parts: Numbers
    rows: Numbers

    def at(self, places: npt.NDArray[Any]) -> "_Rows":
        return _Rows(self.scores[places], self.parts[places], self.rows[places])


class Collection:
    """A collection's folder. Threads may search while one refreshes."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._refreshing = threading.Lock()
        self._snapshot = _load(folder, {})

    @classmethod
    def open(cls, folder: str | Path) -> "Collection":
        """Load what is published. Raises FileNotFoundError (nothing is, yet) and Damaged."""
        return cls(Path(folder))

    @property
    def generation(self) -> int:
        return self._snapshot.generation

    def snapshot(self) -> "Snapshot":
        """The generation in use, to ask several things of the same one."""
        return self._snapshot

    def refresh(self) -> bool:
        """Move to a higher published generation, if there is one; says whether it did. Never to a lower one.

        Opens every file, so that a later removal does no harm. Raises Damaged, or FileNotFoundError without a
        manifest; then the generation in use stays in use.
        """
        with self._refreshing:
            if _read_manifest(self._folder)["generation"] <= self.generation:
                return False
            self._snapshot = _load(self._folder, self._snapshot.segments)
            return True

    def search(self, vector: npt.ArrayLike, k: int, where: Mapping[str, str] | None = None) -> list[Hit]:
        return self._snapshot.search(vector, k, where)

    def document(self, key: str) -> Document | None:
        return self._snapshot.document(key)

    def rows(self) -> Iterator[Row]:
        return self._snapshot.rows()

    def verify(self) -> list[Damaged]:
        """Hash every file that the published manifest names now; returns what is not as it should be."""
        try:
            manifest = _read_manifest(self._folder)
        except Damaged as error:
            return [error]
        files = [file for segment in manifest["segments"] for file in segment["files"].values()]
        files += [{"name": entry["file"], "sha256": entry["sha256"]} for entry in manifest["checkpoints"]]
        problems = [problem for file in files if (problem := _problem(self._folder, file))]
        if problems and _read_manifest(self._folder)["generation"] != manifest["generation"]:
            return self.verify()  # a file may have been removed because it is no longer needed
        return problems


class Snapshot:
    """One generation: segments that never change, and which of their rows are alive."""

    def __init__(self, folder: Path, manifest: Mapping[str, Any], known: Mapping[str, "_Segment"]) -> None:
        self.generation: int = manifest["generation"]
        self.space: Mapping[str, Any] = manifest["space"]  # `query_prefix` goes before a query's text
        self.dimensions: int = manifest["dimensions"]
        self.metric: str = manifest["metric"]
        self.segments: dict[str, _Segment] = {}
        self._parts: list[tuple[_Segment, _Mask | None]] = []
        for entry in manifest["segments"]:
            files = entry["files"]
            identity = "".join(
                files[kind]["sha256"] for kind in ("faiss", "chunks", "codes") if kind in files
            )
            segment = known.get(identity) or _Segment(folder, entry, self.dimensions)
            alive = _read_live(folder, files["live"], segment.count) if "live" in files else None
            self.segments[identity] = segment
            self._parts.append((segment, alive))

    def search(self, vector: npt.ArrayLike, k: int, where: Mapping[str, str] | None = None) -> list[Hit]:
        """The k nearest live chunks, best first; `where`: of documents with all these metadata values.

        Scores are exact. Large segments only propose candidates, of which the best are compared: a chunk near the
        end of the list may be missed there. `vector` has shape (dimensions,). Raises ValueError when it has not
        or is not finite, or k is below 1.
        """
        query = self._checked(vector, k)
        with _one_thread():
            nearest = (column.tolist() for column in self._nearest(query, k, where))
        return [self._parts[number][0].hit(row, score) for score, number, row in zip(*nearest, strict=True)]

    def _nearest(self, query: Vector, k: int, where: Mapping[str, str] | None) -> _Rows:
        found: list[_Rows] = []
        proposed: list[_Rows] = []
        candidates = 100 + 6 * k
        for number, (segment, alive) in enumerate(self._parts):
            chosen = segment.matching(tuple(sorted(where.items()))) & alive if where else alive
            rough = segment.proposes(candidates, chosen)
            scores, rows = segment.nearest(query, candidates if rough else k, chosen, rough)
            (proposed if rough else found).append(_rows(number, scores, rows))
        best = _highest(proposed, candidates)
        for number in np.unique(best.parts).tolist():
            rows = best.rows[best.parts == number]
            found.append(_rows(number, self._parts[number][0].scores(query, rows), rows))
        return _in_order(_highest(found, k), k)

    def _checked(self, vector: npt.ArrayLike, k: int) -> Vector:
        query = np.ascontiguousarray(vector, np.float32)
        if query.shape != (self.dimensions,) or not np.isfinite(query).all() or k < 1:
            raise ValueError(f"needs {self.dimensions} finite numbers and k > 0, not {query.shape} and {k}")
        return query / (np.linalg.norm(query) or 1) if self.metric == "cosine" else query

    def document(self, key: str) -> Document | None:
        """A document's live version. Raises Damaged when its text is not whole."""
        live = [row for segment, alive in self._parts for row in segment.chunks("key = ?", [key], alive)]
        if not live:
            return None
        _, version, _, _, _, _, title, doc_id, metadata, sha256 = live[0]
        parts = sorted(part for segment, _ in self._parts for part in segment.texts(version))
        text = _stitch(parts, 0, max(start + len(part) for start, part in parts))
        if (found := hashlib.sha256(text.encode()).hexdigest()) != sha256:
            raise Damaged(Path(key), sha256, found)
        chunks = sorted(Chunk(row[2], row[3], row[4], text[row[3] : row[4]]) for row in live)
        return Document(key, version, doc_id, title, json.loads(metadata), text, chunks)

    def has(self, first: str, beyond: str) -> bool:
        """Whether a live chunk is of a document whose key is in [first, beyond), by code points."""
        which, values = "key >= ? AND key < ?", (first, beyond)
        return any(segment.chunks(which, values, alive) for segment, alive in self._parts)

    def rows(self) -> Iterator[Row]:
        """Every live chunk with its vector, segment by segment."""
        for segment, alive in self._parts:
            every = segment.chunks('true ORDER BY "row"', [], alive)
            for row, version, ordinal, start, stop, key, *_ in every:
                text = segment.text(version, start, stop)
                yield Row(key, version, ordinal, text, segment.index.reconstruct(row))


class _Segment:
    """Verified files, open: vectors (mapped, not read), chunk records, and codes if there are any."""

    def __init__(self, folder: Path, entry: Mapping[str, Any], dimensions: int) -> None:
        vectors, chunks = (_verified(folder, entry["files"][kind]) for kind in ("faiss", "chunks"))
        self.index = faiss.read_index(str(vectors), faiss.IO_FLAG_MMAP_IFC)
        self.count: int = entry["rows"]
        if (self.index.ntotal, self.index.d) != (self.count, dimensions):
            raise Damaged(vectors, f"{self.count} x {dimensions}", f"{self.index.ntotal} x {self.index.d}")
        self._sign = 1 if self.index.metric_type == faiss.METRIC_INNER_PRODUCT else -1
        self._codes = _read_codes(folder, entry, dimensions)
        uri = f"{chunks.absolute().as_uri()}?immutable=1&mode=ro"
        self._database = sqlite3.connect(uri, uri=True, check_same_thread=False)
        self._one_at_a_time = threading.Lock()
        weakref.finalize(self, self._database.close)
        self._filters: dict[tuple[tuple[str, str], ...], _Mask] = {}

    def proposes(self, candidates: int, mask: _Mask | None) -> bool:
        """Whether scanning codes for that many rows among those in `mask` beats comparing them all."""
        rows = self.count if mask is None else mask.chosen
        return self._codes is not None and rows > candidates and rows >= _EXACT_BELOW * self.count

    def scores(self, query: Vector, rows: Numbers) -> Vector:
        """The exact scores of some rows."""
        scores = np.empty(len(rows), np.float32)
        if len(rows):  # it refuses to compare none
            pointers = (faiss.swig_ptr(query), len(rows), faiss.swig_ptr(scores), faiss.swig_ptr(rows))
            self.index.compute_distance_subset(1, *pointers)  # type: ignore[attr-defined]
        return self._sign * scores

    def nearest(self, query: Vector, k: int, mask: _Mask | None, rough: bool) -> tuple[Vector, Numbers]:
        """Scores and rows of the nearest k rows among those in `mask`, or of fewer; `rough`: by codes."""
        if mask is not None and mask.chosen < _EXACT_BELOW * self.count:
            rows = mask.rows(self.count)
            scores = self.scores(query, rows)
            places = _places_of_highest(scores, k)
            return scores[places], rows[places]
        if not rough:
            return self._scan(self.index, faiss.SearchParameters(), query, k, mask)
        # Where few rows may be found, all may be in the lists that are farther from the query.
        few = mask is not None and 2 * mask.chosen < self.count
        scores, rows = self._propose(query, k, mask, self._codes.nlist if few else self._codes.nprobe)
        return (scores, rows) if len(rows) == k else self._propose(query, k, mask, self._codes.nlist)

    def _propose(self, query: Vector, k: int, mask: _Mask | None, lists: int) -> tuple[Vector, Numbers]:
        """By the codes of the nearest lists alone; the scores are rough."""
        parameters = faiss.SearchParametersIVF()
        parameters.nprobe = lists
        return self._scan(self._codes, parameters, query, k, mask)

    def _scan(
        self, index: Any, parameters: Any, query: Vector, k: int, mask: _Mask | None
    ) -> tuple[Vector, Numbers]:
        if mask is not None:
            selector = faiss.IDSelectorBitmap(len(mask.bits), faiss.swig_ptr(mask.bits))
            parameters.sel = selector  # does not own it: `selector` and `mask` must outlive the search
        found, rows = index.search(query[None, :], min(k, self.count), params=parameters)
        there = rows[0] >= 0  # -1 for each row that is missing
        return self._sign * found[0][there], rows[0][there]

    def hit(self, row: int, score: float) -> Hit:
        [found] = self.chunks('"row" = ?', [row])
        _, version, ordinal, start, stop, key, title, doc_id, metadata, _ = found
        text = self.text(version, start, stop)
        return Hit(score, key, title, text, ordinal, version, doc_id, json.loads(metadata))

    def chunks(self, which: str, values: Sequence[Any], alive: _Mask | None = None) -> list[tuple[Any, ...]]:
        found = self._select(_CHUNKS + which, values)
        return [row for row in found if alive is None or alive.has(row[0])]

    def text(self, version: int, start: int, stop: int) -> str:
        return _stitch(self.texts(version, start - _BLOCK_CHARACTERS, stop), start, stop)

    def texts(self, version: int, after: int = -1, before: int = 1 << 62) -> list[tuple[int, str]]:
        found = self._select(_TEXTS, (version, after, before))
        return [(start, zlib.decompress(text).decode()) for start, text in found]

    def matching(self, where: tuple[tuple[str, str], ...]) -> _Mask:
        """The rows of documents that have all these metadata values; the latest filters are remembered."""
        if (found := self._filters.get(where)) is None:
            has = "EXISTS (SELECT 1 FROM json_each(metadata) AS pair WHERE pair.key = ? AND pair.value = ?)"
            rows = self.chunks(" AND ".join([has] * len(where)), [value for pair in where for value in pair])
            mask = np.zeros(self.count, np.bool_)
            mask[[row[0] for row in rows]] = True
            found = _Mask.of(np.packbits(mask, bitorder="little"))
            if len(self._filters) >= _REMEMBERED_FILTERS:
                self._filters.clear()
            self._filters[where] = found
        return found

    def _select(self, statement: str, values: Sequence[Any]) -> list[tuple[Any, ...]]:
        with self._one_at_a_time:
            return self._database.execute(statement, tuple(values)).fetchall()


def _load(folder: Path, known: Mapping[str, _Segment]) -> Snapshot:
    while True:
        manifest = _read_manifest(folder)
        try:
            return Snapshot(folder, manifest, known)
        except (Damaged, FileNotFoundError, RuntimeError, sqlite3.OperationalError):
            # Removed between reading its name and opening it? Then a newer manifest no longer names it.
            if _read_manifest(folder)["generation"] == manifest["generation"]:
                raise


def _read_manifest(folder: Path) -> dict[str, Any]:
    path = folder / "manifest.json"
    body, _, tail = path.read_bytes().rpartition(_SEAL)
    if tail != hashlib.sha256(body).hexdigest().encode() + b'"}\n':
        raise Damaged(path, "the hash that it carries", "other bytes")
    manifest: dict[str, Any] = json.loads(body + b"}")
    if manifest["format"] != _FORMAT:
        raise Damaged(path, _FORMAT, manifest["format"])
    return manifest


def _problem(folder: Path, file: Mapping[str, Any]) -> Damaged | None:
    path = folder / file["name"]
    try:
        with path.open("rb") as opened:
            found = hashlib.file_digest(opened, "sha256").hexdigest()
    except OSError as error:
        found = str(error)
    return None if found == file["sha256"] else Damaged(path, file["sha256"], found)


def _verified(folder: Path, file: Mapping[str, Any]) -> Path:
    if problem := _problem(folder, file):
        raise problem
    return Path(folder, file["name"])


def _read_codes(folder: Path, entry: Mapping[str, Any], dimensions: int) -> Any:
    """The index of a segment's codes. None when they are missing or damaged: they only make searches faster."""
    if (file := entry["files"].get("codes")) is None:
        return None
    try:
        codes = faiss.read_index(str(_verified(folder, file)))
    except (Damaged, RuntimeError):
        return None
    return codes if (codes.ntotal, codes.d) == (entry["rows"], dimensions) else None


@contextmanager
def _one_thread() -> Iterator[None]:
    """For this thread's searches: beside a busy embedder a team of threads is ten times slower than one."""
    threads = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(1)
    try:
        yield
    finally:
        faiss.omp_set_num_threads(threads)


def _rows(part: int, scores: Vector, rows: Numbers) -> _Rows:
    return _Rows(scores, np.full(len(rows), part), rows)


def _highest(found: Sequence[_Rows], k: int) -> _Rows:
    """The k highest scores in no order, and more where more are equal to the last of them."""
    empty = _rows(0, np.zeros(0, np.float32), np.zeros(0, np.int64))
    every = _Rows(*(np.concatenate(column) for column in zip(empty, *found, strict=True)))
    return every.at(_places_of_highest(every.scores, k))


def _places_of_highest(scores: Vector, k: int) -> npt.NDArray[Any]:
    if len(scores) <= k:
        return np.arange(len(scores))
    return np.flatnonzero(scores >= np.partition(scores, -k)[-k])


def _in_order(found: _Rows, k: int) -> _Rows:
    """The first k, best first; of equal ones the first part's first row."""
    return found.at(np.lexsort((found.rows, found.parts, -found.scores))[:k])


def _read_live(folder: Path, file: Mapping[str, Any], rows: int) -> _Mask:
    data = _verified(folder, file).read_bytes()
    if _LIVE_HEADER.unpack_from(data)[:2] != (b"TSLIVE01", rows):
        raise Damaged(folder / file["name"], f"a live file of {rows} rows", "something else")
    return _Mask.of(np.frombuffer(data, np.uint8)[_LIVE_HEADER.size :].copy())


def _stitch(parts: Iterable[tuple[int, str]], start: int, stop: int) -> str:
    """Characters [start, stop) out of (start, text) parts in ascending order, which may overlap."""
    at, found = start, []
    for begin, text in parts:
        if begin > at:
            break
        found.append(text[at - begin : stop - begin])
        at += len(found[-1])
    if at < stop:
        raise Damaged(Path("texts"), f"characters {start} to {stop}", f"none from {at} on")
    return "".join(found)
