"""What a worker has in hand: documents in the making, and the batch that the next commit takes."""

import hashlib
import json
from collections.abc import Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

from service.index.records import Mask
from service.ports import Float32Vector, Piece


def described(piece: Piece) -> str:
    """The hash of what is said of a document beside its text."""
    said = json.dumps([piece.title, dict(piece.metadata)], sort_keys=True)
    return hashlib.sha256(said.encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Place:
    """Where a document stands in its source; `record` is "" for a file itself."""

    folder: str
    name: str
    record: str
    key: str


@dataclass(eq=False, slots=True)
class Draft:
    """One version of one document, from its first piece to the commit of its last chunk."""

    item_id: int
    place: Place
    title: str
    metadata: Mapping[str, str]
    content_sha256: str
    described_sha256: str
    doc_id: int | None = None  # known, or given at the first commit
    is_new: bool = False  # the ledger has no row of the document yet
    old_version_id: int | None = None  # visible now, retired when this one is finished
    version_id: int | None = None  # given at the first commit
    first_batch: int | None = None  # of the earlier commits that hold some of its rows
    last_batch: int | None = None
    stored_chunks: int = 0  # committed by earlier batches
    stored_prefix: str = ""  # their running hash
    chunks: int = 0  # handed over by the preparer so far
    embedded: int = 0  # of these, how many have their vectors (stored ones included)
    committed_prefix: str = ""  # running hash up to the last row that has its vector
    text_end: int = 0  # where the last chunk stops in the cleaned text
    tail: str = ""  # what the last piece has behind it
    ended: bool = False  # the last piece has come
    failed: bool = False
    file_sha256: str = ""
    stamp: str = ""
    file_bytes: int = 0
    prefix: "hashlib._Hash" = field(default_factory=hashlib.sha256)  # running hash of the chunk-text hashes

    @classmethod
    def of(cls, item_id: int, place: Place, piece: Piece) -> "Draft":
        """A new draft from a document's first piece."""
        content = piece.content_sha256
        return cls(item_id, place, piece.title, piece.metadata, content, described(piece))

    @property
    def complete(self) -> bool:
        """Whether every chunk has its vector, so that the version can become visible."""
        return self.ended and self.embedded == self.chunks and not self.failed


@dataclass(eq=False, slots=True)
class Row:
    """One chunk on its way into a segment."""

    draft: Draft
    ordinal: int
    start: int
    stop: int
    tokens: int
    lead: str  # the text between the chunk before and this one
    text: str
    prefix_sha256: str  # running hash of the draft's chunks up to this one
    future: Future[Float32Vector]
    reused: bool


@dataclass(eq=False, slots=True)
class DocumentChange:
    """New values of a document's columns; `state` among them where the ledger may not know the document."""

    place: Place
    doc_id: int | None
    values: dict[str, Any]
    is_new: bool = False


@dataclass(frozen=True, slots=True)
class Outcome:
    """How an item ended: done, skipped or failed."""

    item_id: int
    state: str
    reason: str | None = None
    detail: str | None = None


@dataclass
class Batch:
    """Everything that one commit makes true, all of it or nothing."""

    rows: list[Row] = field(default_factory=list)
    finished: list[Draft] = field(default_factory=list)  # visible from this commit on
    unfinished: list[Draft] = field(default_factory=list)  # rows are in, dead until the last chunk comes
    documents: list[DocumentChange] = field(default_factory=list)  # settled without new vectors
    retired: list[int] = field(default_factory=list)  # version ids
    abandoned: list[int] = field(default_factory=list)  # unfinished versions that nobody will finish
    in_hand: list[int] = field(default_factory=list)  # unfinished versions that a later commit goes on with
    outcomes: list[Outcome] = field(default_factory=list)
    counters: dict[str, int] = field(default_factory=dict)
    restarts: dict[str, int] = field(default_factory=dict)  # of embedder children, by reason
    kind: str = "ingest"  # of the checkpoint that it becomes
    corrected: dict[int, Mask] = field(default_factory=dict)  # segment -> rows alive, where that was wrong

    def count(self, name: str, amount: int = 1) -> None:
        """Add to one of the job's counters."""
        self.counters[name] = self.counters.get(name, 0) + amount

    @property
    def settled(self) -> int:
        """How many documents or items this commit settles, whichever is more."""
        return max(len(self.finished), len(self.outcomes))

    def __bool__(self) -> bool:
        parts = (self.rows, self.finished, self.documents, self.retired, self.abandoned, self.outcomes)
        return any(parts)
