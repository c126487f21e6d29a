"""A preparer without children: every paragraph is a chunk; a `.jsonl` line is a record."""

import hashlib
import json
import os
import time
from collections.abc import Callable, Iterator
from threading import Event

from service.core.clean import clean_line
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
        self._stopped = Event()

    def prepare(self, task: FileTask) -> Iterator[Piece | Left | FileRead]:
        self._stopped.clear()
        self.before(task)
        self.prepared.append(task.path.name)
        try:
            data = task.path.read_bytes()
            stat = os.stat(task.path)
        except FileNotFoundError as error:
            raise TryAgain("vanished", str(task.path)) from error
        digest = hashlib.sha256(data).hexdigest()
        container = task.path.suffix == ".jsonl"
        read = FileRead(digest, len(data), stamp_once_settled(stat, time.time()), container, False)
        if digest == task.known_sha256:
            yield FileRead(read.sha256, read.size_bytes, read.stamp, container, True)
            return
        self.parsed.append(task.path.name)
        text = data.decode()
        if container:
            for line in text.splitlines():
                record = json.loads(line)
                yield from self._document(task, str(record["id"]), record["text"])
        else:
            self._refuse(text)
            yield from self._document(task, "", text)
        yield read

    def stop(self) -> None:
        self._stopped.set()

    def close(self) -> None:
        self.stop()

    def _refuse(self, text: str) -> None:
        if len(text) < 10:
            raise SkipDocument("too_short", f"{len(text)} characters", _sha256(text))
        if text.startswith("DAMAGED"):
            raise DocumentFailed("damaged", text, _sha256(text))

    def _document(self, task: FileTask, record: str, text: str) -> Iterator[Piece | Left]:
        if text.startswith("BAD"):
            yield Left(record, "failed", "damaged", text)
            return
        spans, at = [], 0
        for paragraph in text.split("\n\n"):
            spans.append(Span(at, at + len(paragraph), len(paragraph.split()) + 2))
            at += len(paragraph) + 2
        digest = hashlib.sha256(text.encode()).hexdigest()
        for first in range(0, len(spans), self.pieces_of):
            if self._stopped.is_set():
                raise Stopped
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


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
