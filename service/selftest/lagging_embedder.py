"""A fake embedder that answers after a while, in order, as a pool of processes does."""

import time
from concurrent.futures import Future
from queue import Queue
from threading import Thread

from service.core.space import Space
from service.ports import Float32Vector
from service.selftest.fake_embedder import FAKE_SPACE, FakeEmbedder

SLOW = "slow"  # a text that begins so takes much longer


class LaggingEmbedder(FakeEmbedder):
    """`seconds` per text, `slow_seconds` for a text that begins with "slow"."""

    def __init__(self, seconds: float = 0.001, slow_seconds: float = 0.3, space: Space = FAKE_SPACE) -> None:
        super().__init__(space)
        self._seconds, self._slow_seconds = seconds, slow_seconds
        self._queue: Queue[tuple[str, Future[Float32Vector]]] = Queue()
        Thread(target=self._answer, daemon=True).start()

    def submit(self, text: str) -> Future[Float32Vector]:
        self.texts.append(text)
        future: Future[Float32Vector] = Future()
        self._queue.put((text, future))
        return future

    def _answer(self) -> None:
        while True:
            text, future = self._queue.get()
            if future.set_running_or_notify_cancel():
                time.sleep(self._slow_seconds if text.startswith(SLOW) else self._seconds)
                future.set_result(self._vector(text))
