"""The embedder on llama.cpp: one queue, and a single-threaded child per usable core."""

import threading
from collections.abc import Mapping
from concurrent.futures import CancelledError, Future
from pathlib import Path

from service.core.space import Space
from service.embedders.machine import usable_cores
from service.embedders.waiting import Task, Waiting
from service.embedders.watchdog import Watchdog
from service.embedders.worker import Shared, Worker
from service.errors import Stopped
from service.ports import Float32Vector


class LlamaPool:
    """Implements `Embedder`. A child starts when there is a text for it; at rest the pool uses no CPU.

    A child that dies is replaced and its unit tried again, text by text; one that gives no answer for
    `timeout_seconds` is killed first. When no child can be started, futures raise Refused or Unavailable.
    """

    def __init__(
        self, model: Path, space: Space, children: int | None = None, timeout_seconds: float = 120.0
    ) -> None:
        """`space` is what `gguf_facts.read_space` says of `model`; by default a child per usable core."""
        count = children or usable_cores()
        self.space = space
        self._shared = Shared(model, space, Waiting(count), Watchdog(timeout_seconds))
        self._workers = [Worker(self._shared) for _ in range(count)]
        self._started = False
        self._starting = threading.Lock()

    def submit(self, text: str) -> Future[Float32Vector]:
        """See `Embedder`. Raises Stopped after `close`. How much is outstanding is the caller's to bound."""
        return self._put(Task(self.space.prefix + text))

    def embed_query(self, text: str) -> Float32Vector:
        """See `Embedder`. Goes before everything that is queued. Raises Stopped after `close`."""
        try:
            return self._put(Task(self.space.query_prefix + text), urgent=True).result()
        except CancelledError as error:
            raise Stopped("The embedder was closed.") from error

    def close(self) -> None:
        """See `Embedder`; what a child had in hand raises Stopped. Waits until the children are gone."""
        with self._starting:
            self._shared.closed.set()
            self._shared.waiting.close()
            started = self._workers if self._started else []
            for worker in started:
                worker.link.kill()
            for worker in started:
                worker.thread.join()
            self._shared.watchdog.close()

    def pids(self) -> list[int]:
        """The process ids of the children that live now."""
        return [pid for worker in self._workers if (pid := worker.link.pid)]

    @property
    def tokens(self) -> int:
        """Tokens embedded so far, special tokens included."""
        return self._shared.tally.tokens()

    @property
    def restarts(self) -> Mapping[str, int]:
        """Children that died, by reason: "hung", "exited" or the signal's name ("sigkill", "sigabrt")."""
        return self._shared.tally.restarts()

    def _put(self, task: Task, urgent: bool = False) -> Future[Float32Vector]:
        self._shared.waiting.put(task, urgent)
        if not self._started:
            self._start()
        return task.future

    def _start(self) -> None:
        with self._starting:
            if not self._started and not self._shared.closed.is_set():
                for worker in self._workers:
                    worker.thread.start()
                self._started = True
