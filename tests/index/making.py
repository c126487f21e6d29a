"""Synthetic collections, committed, retired, merged and published by the real writers."""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from service.core.space import Space
from service.index import manifest as manifests
from service.index.commit_record import CommitRecord, Parent, write_record
from service.index.files import StoredFile, make_folder
from service.index.live import write_live
from service.index.merge import MergeInput, Target, merge_segments
from service.index.records import (
    ChunkRecord,
    Mask,
    SegmentContents,
    SegmentId,
    TextRecord,
    Vectors,
    VersionRecord,
    WrittenSegment,
    live_name,
)
from service.index.segment import write_segment

DIMENSIONS = 16
TOKEN = 7
AT = "2025-01-01T00:00:00Z"
SPACE = Space("synthetic", "float", DIMENSIONS, "mean", True, "", "query: ", 512)

Truth = dict[tuple[str, int], tuple[str, Vectors]]  # (key, ordinal) -> chunk text, vector


def unit_vectors(rows: int, seed: int, dimensions: int = DIMENSIONS) -> Vectors:
    """Random directions, shape (rows, dimensions)."""
    drawn = np.random.default_rng(seed).standard_normal((rows, dimensions))
    unit: Vectors = (drawn / np.linalg.norm(drawn, axis=1, keepdims=True)).astype(np.float32)
    return unit


def chunk_text(version: int, ordinal: int) -> str:
    return f"[{version}.{ordinal}] Größe " + "words of the chunk " * (1 + ordinal % 3)


def contents(versions: Sequence[int], chunks: int = 3, dimensions: int = DIMENSIONS) -> SegmentContents:
    """One document per version number, with the key `doc-<version>`."""
    texts = {v: "".join(chunk_text(v, n) for n in range(chunks)) for v in versions}
    records = [record for v in versions for record in _chunks(v, chunks)]
    described = [
        VersionRecord(
            v, v, f"doc-{v}", f"Title {v}", {"parity": "odd" if v % 2 else "even", "é": '"'}, _sha(texts[v])
        )
        for v in versions
    ]
    vectors = np.concatenate([unit_vectors(chunks, v, dimensions) for v in versions])
    return SegmentContents(vectors, records, described, [TextRecord(v, 0, texts[v]) for v in versions])


def _chunks(version: int, chunks: int) -> Iterable[ChunkRecord]:
    at = 0
    for ordinal in range(chunks):
        length = len(chunk_text(version, ordinal))
        yield ChunkRecord(version, ordinal, at, at + length, 5)
        at += length


def _sha(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


@dataclass
class Held:
    """A live segment of a shelf."""

    number: int
    written: WrittenSegment
    versions: list[int]  # of each row
    alive: Mask
    first: int
    last: int
    live: StoredFile | None = None


class Shelf:
    """A collection written without a ledger: it decides what the engine would decide."""

    def __init__(self, root: Path, metric: str = "cosine") -> None:
        self.root, self.metric = root, metric
        self.generation = self._number = 0
        self.held: list[Held] = []
        self.checkpoints: list[manifests.CheckpointEntry] = []
        make_folder(root)
        for folder in ("segments", "commits"):
            make_folder(root / folder)

    def add(self, versions: Sequence[int], chunks: int = 3) -> None:
        """Commit documents as one segment and publish."""
        self.hold(contents(versions, chunks))
        self.publish()

    def hold(self, made: SegmentContents) -> None:
        """Write a segment with all its rows alive, without publishing."""
        written = write_segment(self.root, self._next(), "id-1", self.metric, made)
        rows = [chunk.version for chunk in made.chunks]
        alive = np.ones(len(rows), np.bool_)
        self.held.append(Held(self._number, written, rows, alive, self._number, self._number))

    def retire(self, versions: Iterable[int]) -> None:
        """Take documents out and publish."""
        gone = list(versions)
        for held in self.held:
            dead = np.isin(held.versions, gone) & held.alive
            if dead.any():
                held.alive = held.alive & ~dead
                name = live_name(held.number, self.generation + 1, TOKEN)
                held.live = write_live(self.root, name, held.alive)
        self.publish()

    def merge(self, run: range) -> None:
        """Replace neighbours by one segment with their live rows and publish."""
        inputs = self.held[run.start : run.stop]
        written = merge_segments(
            self.root,
            [MergeInput(held.written.vectors, held.written.chunks, held.alive) for held in inputs],
            Target(self._next(), "id-1", self.metric, DIMENSIONS),
        )
        rows = [v for held in inputs for v, alive in zip(held.versions, held.alive, strict=True) if alive]
        everyone = np.ones(len(rows), np.bool_)
        merged = Held(self._number, written, rows, everyone, inputs[0].first, inputs[-1].last)
        self.held[run.start : run.stop] = [merged]
        self.publish()

    def publish(self) -> None:
        """A commit record, then the manifest."""
        self.generation += 1
        last = self.checkpoints[-1] if self.checkpoints else None
        parent = Parent(last.generation, last.file, last.sha256) if last else None
        record = CommitRecord(
            collection_id="id-1", store_id="store-1", generation=self.generation, token=TOKEN, parent=parent,
            kind="ingest", batch=self._number, at=AT, job=None, source=None, documents=[], versions_added=[],
            versions_retired=[], segments_opened=[], segments_closed=[], live_files=[],
        )  # fmt: skip
        stored = write_record(self.root, record)
        self.checkpoints.append(
            manifests.CheckpointEntry(
                self._number, self.generation, stored.name, stored.sha256, stored.bytes, AT
            )
        )
        assert manifests.publish(self.root, self.manifest())

    def manifest(self) -> manifests.Manifest:
        entries = [
            manifests.SegmentEntry(
                h.first, h.last, self.generation, h.written.rows, h.written.vectors, h.written.chunks, h.live
            )
            for h in self.held
        ]
        truth = self.truth()
        return manifests.Manifest(
            "synthetic", "id-1", self.generation, manifests.describe(SPACE), DIMENSIONS, self.metric,
            entries, self.checkpoints, len({key for key, _ in truth}), len(truth), AT,
        )  # fmt: skip

    def truth(self) -> Truth:
        """What a reader of this generation must see."""
        live = [v for held in self.held for v in np.asarray(held.versions)[held.alive].tolist()]
        return {
            (f"doc-{v}", n): (chunk_text(v, n), unit_vectors(live.count(v), v)[n])
            for v in set(live)
            for n in range(live.count(v))
        }

    def collect_garbage(self) -> None:
        """Remove every segment file that the manifest does not name."""
        named = {
            file.name for h in self.held for file in (h.written.vectors, h.written.chunks, h.live) if file
        }
        for path in (self.root / "segments").iterdir():
            if f"segments/{path.name}" not in named:
                path.unlink()

    def files(self) -> list[Path]:
        """Everything that a manifest vouches for, and the manifest."""
        below = [
            path for folder in ("segments", "commits") for path in sorted((self.root / folder).iterdir())
        ]
        return [self.root / "manifest.json", *below]

    def _next(self) -> SegmentId:
        self._number += 1
        return SegmentId(self._number, TOKEN)


def flip(path: Path, position: int) -> None:
    """Change one bit; `position` counts bits, modulo the file's size."""
    data = bytearray(path.read_bytes())
    data[position // 8 % len(data)] ^= 1 << position % 8
    path.write_bytes(data)


def nearest(truth: Truth, query: Vectors, k: int) -> list[tuple[str, int, float]]:
    """Brute force: (key, ordinal, cosine) of the k nearest chunks, best first."""
    scored = [(key, ordinal, float(vector @ query)) for (key, ordinal), (_, vector) in truth.items()]
    return sorted(scored, key=lambda hit: -hit[2])[:k]
