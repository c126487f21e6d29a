"""Deadlines for children that may hang."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class Watchdog:
    """One thread that sleeps until the nearest deadline; without any it sleeps for good."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._deadlines: dict[Callable[[], None], float] = {}
        self._changed = threading.Condition()
        self._closed = False
        threading.Thread(target=self._run, name="embedder-watchdog", daemon=True).start()

    @contextmanager
    def or_else(self, act: Callable[[], None]) -> Iterator[None]:
        """Call `act`, from the watchdog's thread, if the block takes longer than the watchdog's seconds."""
        with self._changed:
            self._deadlines[act] = time.monotonic() + self._seconds
            if len(self._deadlines) == 1:  # otherwise it wakes before this deadline anyway
                self._changed.notify()
        try:
            yield
        finally:
            with self._changed:
                self._deadlines.pop(act, None)

    def close(self) -> None:
        """End the thread."""
        with self._changed:
            self._closed = True
            self._changed.notify()

    def _run(self) -> None:
        with self._changed:
            while not self._closed:
                for act in self._overdue():
                    del self._deadlines[act]
                    act()
                nearest = min(self._deadlines.values(), default=None)
                self._changed.wait(None if nearest is None else max(0.0, nearest - time.monotonic()))

    def _overdue(self) -> list[Callable[[], None]]:
        now = time.monotonic()
        return [act for act, deadline in self._deadlines.items() if deadline <= now]
