"""Parsing in child processes with limits: a document can harm its child, never the service."""

import json
import signal
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from typing import Any

from service.children import Child, PipeClosed, spawn
from service.core.chunk import CHUNKER_VERSION
from service.core.clean import CLEANER_VERSION
from service.core.space import Recipe
from service.errors import DocumentFailed, Stopped, Unavailable
from service.parsers.account import Told, left, piece, raise_outcome
from service.parsers.parsed import OUT_OF_MEMORY, OUT_OF_MEMORY_STATUS, PARSER_DIED, PARSER_VERSION, TIMED_OUT
from service.ports import FileRead, FileTask, Left, Piece

_CHILD = "service.parsers.parser_child"
_STARTS, _PAUSE_SECONDS = 3, 0.2
_ADVICE = "check memory, process limits and what the child wrote to stderr"


@dataclass(frozen=True, slots=True)
class SandboxSettings:
    """What a child is told at its start."""

    counter: str  # "module:Class" whose instances, made from `model_path`, have `count(text) -> int`
    model_path: str
    prefix: str = ""  # put before every chunk by the embedder, so counted with it
    max_tokens: int = 256
    overlap_tokens: int = 32
    max_file_bytes: int = 256_000_000
    memory_bytes: int = 2 << 30  # of address space
    seconds: float = 120.0  # without a message: reading, parsing and cleaning one document


@dataclass(frozen=True, slots=True)
class Retirement:
    """When a child has served long enough; memory that a library leaks goes with it."""

    documents: int = 500
    resident_bytes: int = 400_000_000


def recipe_of(max_tokens: int, overlap_tokens: int) -> Recipe:
    """What text is made with here."""
    return Recipe(PARSER_VERSION, CLEANER_VERSION, CHUNKER_VERSION, max_tokens, overlap_tokens)


class Sandbox:
    """Implements `service.ports.Preparer` with one child per concurrent `prepare`."""

    def __init__(self, settings: SandboxSettings, retirement: Retirement = Retirement()) -> None:
        self.recipe = recipe_of(settings.max_tokens, settings.overlap_tokens)
        self._settings, self._retirement = settings, retirement
        self._arguments = [json.dumps(asdict(settings))]
        self._lock = threading.Lock()
        self._idle: list[_Worker] = []
        self._busy: set[_Worker] = set()
        self._stops = 0
        # A child dies with the *thread* that started it: this one lives as long as the sandbox.
        self._starter = ThreadPoolExecutor(1, "parser-starter")

    def prepare(self, task: FileTask) -> Iterator[Piece | Left | FileRead]:
        """See the port. A child that dies is replaced once, in case the document was not to blame."""
        return self._prepare(task, self._stops)

    def stop(self) -> None:
        with self._lock:
            self._stops += 1
            for worker in self._busy:
                worker.stopped = True
                worker.child.kill()

    def close(self) -> None:
        self.stop()
        with self._lock:
            idle, self._idle = self._idle, []
        for worker in idle:
            worker.child.reap()
        self._starter.shutdown()

    def _prepare(self, task: FileTask, stops: int) -> Iterator[Piece | Left | FileRead]:
        told = Told()
        try:
            yield from self._attempt(task, stops, told)
        except PipeClosed:
            told.again()
            try:
                yield from self._attempt(task, stops, told)
            except PipeClosed as error:
                detail = "its parser process ended, twice"
                raise DocumentFailed(PARSER_DIED, detail, told.sha256) from error

    def _attempt(self, task: FileTask, stops: int, told: Told) -> Iterator[Piece | Left | FileRead]:
        """Raises PipeClosed when the child died of its own."""
        worker = self._take(stops)
        keep = False
        try:
            worker.child.send(
                {"path": str(task.path), "metadata": dict(task.metadata), "known_sha256": task.known_sha256}
            )
            for header, body in worker.messages():
                if header["kind"] in ("piece", "left"):
                    if told.is_new(header, body):
                        yield piece(header, body) if header["kind"] == "piece" else left(header)
                elif header["kind"] == "read":
                    told.read = header
                else:
                    keep = self._served(worker, header)
                    break
            # The child is free before the caller sees the end: it may never ask for more.
        except PipeClosed:
            if worker.stopped:
                raise Stopped("The parser was told to stop.") from None
            status = worker.child.reap()
            if status == -signal.SIGALRM:
                detail = f"no result within {self._settings.seconds:g} s"
                raise DocumentFailed(TIMED_OUT, detail, told.sha256) from None
            if status == OUT_OF_MEMORY_STATUS:
                detail = f"it needs more than {self._settings.memory_bytes} bytes"
                raise DocumentFailed(OUT_OF_MEMORY, detail, told.sha256) from None
            raise
        finally:
            self._release(worker, keep)
        if header["kind"] != "done":
            raise_outcome(header, told.sha256)
        yield told.file_read(header["container"])

    def _take(self, stops: int) -> "_Worker":
        """A child that is ready. Raises Stopped, Unavailable."""
        for attempt in range(_STARTS):
            time.sleep(_PAUSE_SECONDS * attempt)
            worker = self._from_idle() or _Worker(self._spawn())
            with self._lock:
                self._busy.add(worker)
                stopped = self._stops != stops
            if stopped:
                self._release(worker, keep=worker.ready)
                raise Stopped("The parser was told to stop.")
            if worker.get_ready():
                return worker
            self._release(worker, keep=False)
        status = worker.child.process.returncode
        raise Unavailable("parser_start", f"no child could be started (it ended with {status}): {_ADVICE}")

    def _spawn(self) -> Child:
        try:
            return self._starter.submit(spawn, _CHILD, self._arguments).result()
        except OSError as error:
            raise Unavailable("parser_start", f"no child could be started ({error}): {_ADVICE}") from error

    def _from_idle(self) -> "_Worker | None":
        with self._lock:
            while self._idle:
                worker = self._idle.pop()
                if worker.child.process.poll() is None:
                    return worker
                worker.child.reap()  # it died while it had nothing to do
        return None

    def _served(self, worker: "_Worker", header: dict[str, Any]) -> bool:
        """Note that the child has done one more document; whether it may do another."""
        worker.documents += 1
        return (
            worker.documents < self._retirement.documents
            and header["resident_bytes"] < self._retirement.resident_bytes
            and header.get("reason") != OUT_OF_MEMORY
        )

    def _release(self, worker: "_Worker", keep: bool) -> None:
        with self._lock:
            self._busy.discard(worker)
            keep = keep and not worker.stopped
            if keep:
                self._idle.append(worker)
        if not keep:
            worker.child.reap()


class _Worker:
    """A child and what is known of it."""

    def __init__(self, child: Child) -> None:
        self.child = child
        self.documents = 0
        self.ready = False
        self.stopped = False

    def get_ready(self) -> bool:
        """Wait for the child's first word; False when it ends without."""
        try:
            if not self.ready:
                self.child.receive()
        except PipeClosed:
            return False
        self.ready = True
        return True

    def messages(self) -> Iterator[tuple[dict[str, Any], bytes]]:
        """Until the child dies or is stopped: PipeClosed."""
        while True:
            message = self.child.receive()
            if self.stopped:  # what is still in the pipe does not count
                raise PipeClosed
            yield message
