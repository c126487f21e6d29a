"""What a segment holds, as values: versions, their texts, and one chunk per vector."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from service.index.files import StoredFile

Vectors = npt.NDArray[np.float32]  # shape (rows, dimensions)
Mask = npt.NDArray[np.bool_]  # shape (rows,)

MAX_ROWS = 131_072  # of one segment


@dataclass(frozen=True, slots=True)
class VersionRecord:
    """One version of a document, of which a segment holds some or all chunks."""

    version: int
    doc_id: int
    key: str
    title: str
    metadata: Mapping[str, str]
    content_sha256: str  # of the whole cleaned text (UTF-8)


@dataclass(frozen=True, slots=True)
class TextRecord:
    """A part of a version's cleaned text, which begins at its character `start`."""

    version: int
    start: int
    text: str


@dataclass(frozen=True, slots=True)
class ChunkRecord:
    """The half-open character range [start, stop) of a version's cleaned text, and its count of tokens."""

    version: int
    ordinal: int
    start: int
    stop: int
    tokens: int


@dataclass(frozen=True, slots=True)
class RowRecord:
    """A chunk at its place in a segment."""

    row: int
    chunk: ChunkRecord
    text_hash: bytes


@dataclass(frozen=True, slots=True)
class SegmentContents:
    """Vector i belongs to chunk i; texts cover every chunk; every version mentioned is described."""

    vectors: Vectors
    chunks: Sequence[ChunkRecord]
    versions: Sequence[VersionRecord]
    texts: Sequence[TextRecord]


@dataclass(frozen=True, slots=True)
class SegmentId:
    """A segment's reserved id, the fencing token of its writer, and the files named after both."""

    number: int
    token: int

    @property
    def vectors(self) -> str:
        return f"segments/{self.number:08d}-t{self.token}.faiss"

    @property
    def chunks(self) -> str:
        return f"segments/{self.number:08d}-t{self.token}.chunks"

    @property
    def codes(self) -> str:
        """Derived from the vectors: a segment can do without."""
        return f"segments/{self.number:08d}-t{self.token}.codes"


@dataclass(frozen=True, slots=True)
class WrittenSegment:
    """A segment's two durable files."""

    vectors: StoredFile
    chunks: StoredFile
    rows: int


def live_name(number: int, generation: int, token: int) -> str:
    """The file that says which rows of a segment are alive at a generation, as written under a token."""
    return f"segments/{number:08d}-g{generation}-t{token}.live"


def text_hash(text: str) -> bytes:
    """What two chunks have in common when one can reuse the other's vector: 16 bytes."""
    return hashlib.sha256(text.encode()).digest()[:16]
