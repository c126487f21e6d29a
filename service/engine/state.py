"""What the lease's holder knows of its collection: the live segments, and which of their rows are alive."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from sqlalchemy import Connection

from service.core.space import Space
from service.index.chunkfile import ChunkFile
from service.index.commit_record import Parent
from service.index.files import StoredFile, verify
from service.index.flatfile import read_rows
from service.index.live import read_live
from service.index.records import Mask, Vectors
from service.ledger import collections, segments
from service.ledger.database import AnyRow


@dataclass(slots=True)
class Segment:
    """One live segment; `alive` is read from its live file when first needed."""

    segment_id: int
    token: int
    first_batch: int
    last_batch: int
    rows: int
    live_rows: int
    faiss: StoredFile
    chunks: StoredFile
    live: StoredFile | None  # None: every row is alive
    verified: bool = False  # by this holder, against the recorded hashes
    alive: Mask | None = None
    codes: StoredFile | None = None  # derived from `faiss`

    @property
    def size_bytes(self) -> int:
        """Bytes of its files, the live file aside."""
        return self.faiss.bytes + self.chunks.bytes


@dataclass
class CollectionState:
    """A collection at its newest generation, kept in step with the commits of one lease."""

    id: str
    name: str
    folder: Path
    store_id: str
    space: Space
    generation: int
    batch: int
    documents: int
    segments: list[Segment]
    parent: Parent | None  # the newest commit record
    published: int = 0  # the newest generation that this holder has seen published
    publish_failed: bool = False  # at the last try
    _open: dict[int, ChunkFile] = field(default_factory=dict)

    @classmethod
    def load(cls, c: Connection, collection_id: str, folder: Path, store_id: str) -> "CollectionState":
        """The state that the ledger's last commit left."""
        row = collections.by_id(c, collection_id)
        newest = segments.newest_checkpoint(c, collection_id)
        parent = None
        if newest is not None:
            parent = Parent(newest.generation, newest.file, newest.sha256)
        return cls(
            id=collection_id,
            name=row.name,
            folder=folder,
            store_id=store_id,
            space=Space(**row.space),
            generation=row.generation,
            batch=row.batch,
            documents=row.documents,
            segments=[segment_of(live) for live in segments.live(c, collection_id)],
            parent=parent,
        )

    @property
    def vectors(self) -> int:
        """How many rows are alive."""
        return sum(segment.live_rows for segment in self.segments)

    def covering(self, first_batch: int, last_batch: int) -> Iterable[Segment]:
        """The segments that hold the rows of these batches, wherever merges have moved them."""
        return [s for s in self.segments if s.first_batch <= last_batch and first_batch <= s.last_batch]

    def chunk_file(self, segment: Segment) -> ChunkFile:
        """The segment's chunk records, from files verified once under this lease. Raises Corrupt."""
        self.verify(segment)
        if segment.segment_id not in self._open:
            self._open[segment.segment_id] = ChunkFile(self.folder / segment.chunks.name)
        return self._open[segment.segment_id]

    def verify(self, segment: Segment) -> None:
        """Hash the segment's files against the ledger before its rows are used. Raises Corrupt."""
        if not segment.verified:
            verify(self.folder, segment.faiss)
            verify(self.folder, segment.chunks)
            segment.verified = True

    def alive(self, segment: Segment) -> Mask:
        """Which rows of the segment are alive, shape (rows,). Raises Corrupt."""
        if segment.alive is None:
            if segment.live is None:
                segment.alive = np.ones(segment.rows, dtype=np.bool_)
            else:
                segment.alive = read_live(self.folder, segment.live)
        return segment.alive

    def vectors_of(self, segment: Segment, rows: Sequence[int]) -> Vectors:
        """Some vectors of a verified segment, shape (len(rows), dimensions). Raises Corrupt."""
        self.verify(segment)
        return read_rows(self.folder / segment.faiss.name, self.space.dimensions, rows)

    def close(self) -> None:
        """Close the chunk files."""
        for file in self._open.values():
            file.close()
        self._open.clear()

    def forget(self, segment: Segment) -> None:
        """Close what is open of a segment that leaves."""
        file = self._open.pop(segment.segment_id, None)
        if file is not None:
            file.close()


def segment_of(row: AnyRow) -> Segment:
    """A live segment from its ledger row."""
    return Segment(
        segment_id=row.segment_id,
        token=row.token,
        first_batch=row.first_batch,
        last_batch=row.last_batch,
        rows=row.rows,
        live_rows=row.live_rows,
        faiss=stored(row.faiss),
        chunks=stored(row.chunks),
        live=stored(row.live) if row.live else None,
        codes=stored(row.codes) if row.codes else None,
    )


def stored(values: Mapping[str, Any]) -> StoredFile:
    """A file as the ledger keeps it."""
    return StoredFile(values["name"], values["sha256"], values["bytes"])


def as_json(file: StoredFile | None) -> dict[str, Any] | None:
    """A file as the ledger and the manifest write it."""
    return None if file is None else {"name": file.name, "sha256": file.sha256, "bytes": file.bytes}
