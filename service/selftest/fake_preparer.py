"""A preparer without children: every paragraph is a chunk; a `.jsonl` line is a record.

A text that begins with DAMAGED or BAD is damaged; bytes that are not UTF-8 are of no known type.
"""

import hashlib
import json
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from service.core.clean import SHORTEST_TEXT, clean_line
from service.core.space import Recipe
from service.core.stamp import stamp_once_settled
from service.errors import DocumentFailed, SkipDocument, Stopped, TryAgain
from service.ports import FileRead, FileTask, Left, Piece, Span

FAKE_RECIPE = Recipe(parser=1, cleaner=1, chunker=1, max_tokens=64, overlap_tokens=0)


class FakePreparer:
    """Implements `Preparer`. `before(task)` lets a test step in before a file is read."""

    def __init__(self, recipe: Recipe = FAKE_RECIPE, pieces_of: int = 4) -> None:
        self.recipe, self.pieces_of = recipe, pieces_of
        self.prepared: list[str] = []
        self.parsed: list[str] = []  # of these, those whose bytes were not known already
        self.before: Callable[[FileTask], None] = lambda _: None
        self._stops = 0

    def prepare(self, task: FileTask) -> Iterator[Piece | Left | FileRead]:
        stops = self._stops
        for said in self._file(task):
            if self._stops != stops:
                raise Stopped
            yield said

    def is_container(self, path: Path, data: bytes) -> bool:
        """Whether a file's lines are records."""
        return path.suffix == ".jsonl"

    def stop(self) -> None:
        self._stops += 1

    def close(self) -> None:
        self.stop()

    def _file(self, task: FileTask) -> Iterator[Piece | Left | FileRead]:
        self.before(task)
        self.prepared.append(task.path.name)
        try:
            data = task.path.read_bytes()
            stamp = stamp_once_settled(os.stat(task.path), time.time())
        except FileNotFoundError as error:
            raise TryAgain("vanished", str(task.path)) from error
        digest, container = hashlib.sha256(data).hexdigest(), self.is_container(task.path, data)
        unchanged = digest == task.known_sha256
        if not unchanged:
            self.parsed.append(task.path.name)
            text = _decoded(data, digest)
            yield from self._records(task, text) if container else self._document(task, "", text)
        yield FileRead(digest, len(data), stamp, container, unchanged)

    def _records(self, task: FileTask, text: str) -> Iterator[Piece | Left]:
        for number, line in enumerate(text.splitlines(), 1):
            name = f"line-{number}"
            try:
                record = json.loads(line)
                name = str(record["id"])
                yield from self._document(task, name, record["text"])
            except json.JSONDecodeError as error:
                yield Left(name, "failed", "damaged", str(error))
            except SkipDocument as why:
                yield Left(name, "skipped", why.reason, why.detail)
            except DocumentFailed as why:
                yield Left(name, "failed", why.reason, why.detail)

    def _document(self, task: FileTask, record: str, text: str) -> Iterator[Piece]:
        digest = hashlib.sha256(text.encode()).hexdigest()
        _refuse(text, digest)
        spans, at = [], 0
        for paragraph in text.split("\n\n"):
            spans.append(Span(at, at + len(paragraph), len(paragraph.split()) + 2))
            at += len(paragraph) + 2
        for first in range(0, len(spans), self.pieces_of):
            some = spans[first : first + self.pieces_of]
            start = some[0].start
            last = first + self.pieces_of >= len(spans)
            yield Piece(
                record=record,
                title=clean_line(task.path.stem),
                metadata=dict(task.metadata),
                content_sha256=digest,
                start=start,
                text=text[start : spans[first + len(some)].start if not last else len(text)],
                first_ordinal=first,
                spans=some,
                last=last,
            )


def _decoded(data: bytes, digest: str) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise SkipDocument("unknown_type", str(error), digest) from error


def _refuse(text: str, digest: str) -> None:
    if len(text.strip()) < SHORTEST_TEXT:
        raise SkipDocument("too_short" if text.strip() else "empty", f"{len(text)} characters", digest)
    if text.startswith(("DAMAGED", "BAD")):
        raise DocumentFailed("damaged", text, digest)
