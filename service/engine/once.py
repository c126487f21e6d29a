"""Something costly is made when it is first needed, once, whichever thread comes first."""

from collections.abc import Callable
from threading import Lock
from typing import Generic, TypeVar

T = TypeVar("T")


class Once(Generic[T]):
    """Holds what `make` returns from the first `get` on; a `make` that raises is tried again by the next."""

    def __init__(self, make: Callable[[], T]) -> None:
        self._make, self._lock = make, Lock()
        self._made: list[T] = []

    def get(self) -> T:
        """The one value. Raises what `make` raises."""
        with self._lock:
            if not self._made:
                self._made.append(self._make())
            return self._made[0]

    def made(self) -> T | None:
        """The value, if it was ever asked for."""
        with self._lock:
            return self._made[0] if self._made else None

    def close(self, end: Callable[[T], None]) -> None:
        """Hand the value to `end`, if it was ever made, and forget it."""
        with self._lock:
            while self._made:
                end(self._made.pop())
