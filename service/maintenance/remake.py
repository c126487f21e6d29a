"""Versions on their way into another space, chunk by chunk."""

from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any

import numpy as np

from service.errors import DocumentFailed
from service.index.records import ChunkRecord, SegmentContents, TextRecord, VersionRecord
from service.ledger.database import AnyRow
from service.maintenance.kept import KeptVersion
from service.ports import Float32Vector


@dataclass(eq=False)
class Remake:
    """One version; what is stored of it is what earlier saves have written."""

    row: AnyRow  # of `preparations.missing`
    kept: KeptVersion
    recut: bool = False  # a chunk was too long: another version, with more chunks, takes its place
    recut_id: int | None = None
    position: int = 0  # chunks of the kept version that are dealt with
    written: int = 0  # rows that they have become
    first_segment: int | None = None  # of those that hold its rows
    last_segment: int | None = None
    failed: DocumentFailed | None = None
    again: bool = False  # what is written of it is of no use: to be begun anew, recut from the first row on

    @classmethod
    def of(cls, row: AnyRow, kept: KeptVersion) -> "Remake":
        """Goes on where the last save stopped."""
        recut_id = row.recut_id
        made = cls(row, kept, recut_id is not None, recut_id, row.position or 0, row.written)
        made.first_segment, made.last_segment = row.first_segment, row.last_segment
        return made

    @property
    def dropped(self) -> bool:
        """Whether nothing more of it is to be embedded, and what is in hand is not wanted."""
        return self.failed is not None or self.again

    @property
    def done(self) -> bool:
        return self.failed is not None or (not self.again and self.position == len(self.kept))

    @property
    def number(self) -> int:
        """The version that its rows are of."""
        number = self.recut_id if self.recut else self.row.version_id
        assert number is not None, "given before the first row is written"
        return int(number)

    def as_row(self, segment_id: int | None) -> dict[str, Any]:
        """How far it is, for `preparations.put`; `segment_id`: where rows have just been written, if any were."""
        said = {"version_id": self.row.version_id, "recut_id": self.recut_id, "done": self.done}
        why: dict[str, Any] = {"reason": None, "detail": None}
        if self.failed is not None:
            why = {"reason": self.failed.reason, "detail": self.failed.detail}
        if self.again:
            return {**said, **why, "position": 0, "chunks": 0, "first_segment": None, "last_segment": None}
        if segment_id is not None and not self.dropped:
            self.last_segment = segment_id
            self.first_segment = self.first_segment or segment_id
        places = {"first_segment": self.first_segment, "last_segment": self.last_segment}
        return {**said, **why, "position": self.position, "chunks": self.written, **places}


@dataclass(eq=False, slots=True)
class Part:
    """A chunk, or a part of one that was too long, with its vector to be."""

    remake: Remake
    chunk: ChunkRecord  # of the kept version; [start, stop) and tokens are the part's own
    text: str
    last: bool  # of its chunk
    future: Future[Float32Vector]
    reused: bool


@dataclass
class Load:
    """What one save writes: whole chunks, in order."""

    parts: Sequence[Part]
    settled: Sequence[Remake]  # done without a row in `parts`
    chunks: list[ChunkRecord] = field(default_factory=list)
    texts: list[TextRecord] = field(default_factory=list)
    versions: list[VersionRecord] = field(default_factory=list)

    @property
    def remakes(self) -> list[Remake]:
        """Every version that this save says something new of."""
        return [*dict.fromkeys([*(part.remake for part in self.parts), *self.settled])]

    def contents(self) -> SegmentContents:
        """The segment; moves the versions on. Raises ValueError when a text is not whole."""
        for remake, group in groupby(self.parts, key=lambda part: part.remake):
            self._add(remake, list(group))
        vectors = np.stack([part.future.result() for part in self.parts])
        return SegmentContents(vectors.astype(np.float32, copy=False), self.chunks, self.versions, self.texts)

    def _add(self, remake: Remake, parts: list[Part]) -> None:
        start = min(remake.kept.begin_of(remake.position), parts[0].chunk.start)
        for ordinal, part in enumerate(parts, remake.written):
            chunk = part.chunk
            self.chunks.append(ChunkRecord(remake.number, ordinal, chunk.start, chunk.stop, chunk.tokens))
        remake.written += len(parts)
        remake.position = parts[-1].chunk.ordinal + 1
        stop = remake.kept.end if remake.done else parts[-1].chunk.stop
        self.texts.append(TextRecord(remake.number, start, remake.kept.text(start, stop)))
        said = remake.kept.record()
        self.versions.append(
            VersionRecord(
                remake.number, said.doc_id, said.key, said.title, said.metadata, said.content_sha256
            )
        )


def whole_chunks(parts: Sequence[Part]) -> int:
    """How many of these parts, from the first on, are of chunks that are there to their end."""
    return max((at for at, part in enumerate(parts, 1) if part.last), default=0)


def ranges(remakes: Sequence[Remake]) -> tuple[int, int]:
    """(First, last) batch of these versions' rows, wherever they are."""
    rows = [remake.row for remake in remakes]
    return min(row.first_batch for row in rows), max(row.last_batch for row in rows)


def pieces(part: Part, cuts: Sequence[tuple[int, int]]) -> Iterator[tuple[ChunkRecord, str]]:
    """Parts of a part, by character ranges of its text; their tokens are estimated by their lengths."""
    chunk = part.chunk
    for start, stop in cuts:
        tokens = -(-chunk.tokens * (stop - start) // len(part.text))
        place = (chunk.start + start, chunk.start + stop, tokens)
        yield ChunkRecord(chunk.version, chunk.ordinal, *place), part.text[start:stop]
