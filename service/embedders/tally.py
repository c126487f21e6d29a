"""What a pool's children have done since the pool was made."""

import threading
from collections import Counter


class Tally:
    """Counts that several threads add to."""

    def __init__(self) -> None:
        self._tokens = 0
        self._restarts: Counter[str] = Counter()
        self._lock = threading.Lock()

    def add_tokens(self, count: int) -> None:
        with self._lock:
            self._tokens += count

    def add_restart(self, reason: str) -> None:
        with self._lock:
            self._restarts[reason] += 1

    def tokens(self) -> int:
        with self._lock:
            return self._tokens

    def restarts(self) -> dict[str, int]:
        with self._lock:
            return dict(self._restarts)
