"""Vectors that exist already: equal chunk texts are embedded once."""

from collections import OrderedDict, deque
from collections.abc import Callable, Iterable
from concurrent.futures import Future

from service.engine.stored import StoredVersion
from service.ports import Float32Vector

MOST_KEPT = 8192  # futures; 12 MB of vectors at 384 dimensions
MOST_STORED = 100_000  # chunks of large versions of which the place is known; about 20 MB


class Reuse:
    """Chunk-text hash -> vector, the most recent `MOST_KEPT` of this run, and of the versions it replaces."""

    def __init__(self, submit: Callable[[str], Future[Float32Vector]]) -> None:
        self._submit = submit
        self._known: OrderedDict[bytes, Future[Float32Vector]] = OrderedDict()
        self._stored: deque[StoredVersion] = deque()

    def learn(self, pairs: Iterable[tuple[bytes, Float32Vector]]) -> None:
        """Take in stored vectors under the hashes of their texts."""
        for text_hash, vector in pairs:
            future: Future[Float32Vector] = Future()
            future.set_result(vector)
            self._keep(text_hash, future)

    def remember(self, version: StoredVersion) -> None:
        """A version too large to be learnt; of several the latest are remembered."""
        self._stored.append(version)
        while len(self._stored) > 1 and sum(map(len, self._stored)) > MOST_STORED:
            self._stored.popleft()

    def vector(self, text_hash: bytes, text: str) -> tuple[Future[Float32Vector], bool]:
        """(The text's vector to be, whether it costs nothing). Raises Corrupt."""
        if text_hash not in self._known:
            for version in self._stored:
                self.learn(version.run_from(text_hash))
        known = self._known.get(text_hash)
        if known is not None and not known.cancelled() and not _failed(known):
            self._known.move_to_end(text_hash)
            return known, True
        future = self._submit(text)
        self._keep(text_hash, future)
        return future, False

    def _keep(self, text_hash: bytes, future: Future[Float32Vector]) -> None:
        self._known[text_hash] = future
        self._known.move_to_end(text_hash)
        if len(self._known) > MOST_KEPT:
            self._known.popitem(last=False)


def _failed(future: Future[Float32Vector]) -> bool:
    return future.done() and future.exception() is not None
