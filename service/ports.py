"""ASKS: what the engine wants of sources, parsers and embedders, at the level of its own verbs."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt

from service.core.space import Recipe, Space

Float32Vector = npt.NDArray[np.float32]
Float32Matrix = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Span:
    """One chunk: the half-open character range [start, stop) of its version's cleaned text."""

    start: int
    stop: int
    tokens: int


@dataclass(frozen=True, slots=True)
class Piece:
    """A run of consecutive chunks of one document; large documents come in several pieces.

    `text` is the cleaned text from character `start` on and covers every span in `spans` (spans count from the
    beginning of the whole document, so `text[span.start - start : span.stop - start]` is a chunk). Pieces of one
    document follow one another without a gap; a piece starts at its first span's start where chunks overlap.
    """

    record: str  # "" for the file itself, else the id of the record inside it
    title: str
    metadata: Mapping[str, str]
    content_sha256: str  # of the whole cleaned text (UTF-8), the same in every piece
    start: int
    text: str
    first_ordinal: int
    spans: Sequence[Span]
    last: bool


@dataclass(frozen=True, slots=True)
class Left:
    """A record that is not indexed: skipped by rule or failed; the other records go on."""

    record: str
    outcome: str  # "skipped" or "failed"
    reason: str
    detail: str


@dataclass(frozen=True, slots=True)
class FileRead:
    """The last thing said of a file: what exactly was read."""

    sha256: str  # of the raw bytes
    size_bytes: int
    stamp: str  # see `service.core.stamp`; "" when the file is too young to be trusted
    container: bool  # its records are the documents, not the file itself
    unchanged: bool  # the raw bytes have the sha256 that was handed in; nothing was parsed


@dataclass(frozen=True, slots=True)
class FileTask:
    """One file to prepare. `known_sha256` short-cuts a file that was touched but not changed."""

    path: Path
    metadata: Mapping[str, str]
    known_sha256: str = ""


class Preparer(Protocol):
    """Parse, clean and chunk one file in a sandbox."""

    recipe: Recipe

    def prepare(self, task: FileTask) -> Iterator[Piece | Left | FileRead]:
        """Stream the file's documents, `FileRead` last.

        Raises SkipDocument (by rule), DocumentFailed (damaged, out of time or memory, killed its process),
        TryAgain (changed while read, vanished, I/O error), Unavailable (nothing can be prepared just now), Stopped.
        Safe to call from several threads.
        """

    def stop(self) -> None:
        """End every running `prepare` within a second by killing its child; later calls work again."""

    def close(self) -> None:
        """End the children."""


class Embedder(Protocol):
    """Texts to vectors."""

    space: Space

    def submit(self, text: str) -> Future[Float32Vector]:
        """Queue one document chunk; the future yields a float32 vector of shape (space.dimensions,), L2-normalised
        when `space.normalised`. The prefix is added here. The future raises TooLong or
        EmbedderDied, and Unavailable when nothing can be embedded just now. Thread-safe."""

    def embed_query(self, text: str) -> Float32Vector:
        """One query's vector, with the query prefix; a text beyond the window raises TooLong."""

    def close(self) -> None:
        """Cancel what is queued and end the children."""


@dataclass(frozen=True, slots=True)
class Folder:
    """One directory, or a part of its files where there are many; the last part says what else there is."""

    path: str  # relative to the root, "" for the root, "/" between parts
    files: Mapping[str, str]  # file name -> stamp, see `service.core.stamp`
    subfolders: Sequence[str] = ()
    error: str = ""  # why it was not listed to the end


class Source(Protocol):
    """Where documents come from; narrow on purpose: list a folder, locate a file."""

    def scan(self, folder: str, pulse: Callable[[], None]) -> Iterator[Folder]:
        """List one folder ("" is the root, which Refused is raised for when it cannot be read).

        Part by part, so that a huge one need not fit into memory. `pulse` is called several times a second and
        may raise to end a long listing.
        """

    def locate(self, folder: str, name: str) -> Path:
        """Where a listed file can be read."""
