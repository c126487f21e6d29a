"""One look at the ledger serves everybody who asks within a tenth of a second."""

import asyncio
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from starlette.concurrency import run_in_threadpool

MAX_AGE_SECONDS = 0.1
MOST_KEPT = 256  # keys; older looks are dropped beyond it


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What was seen, ready to be sent."""

    value: Mapping[str, Any]
    etag: str
    body: bytes


@dataclass(frozen=True, slots=True)
class _Look:
    since: float  # monotonic, before the ledger was read
    task: asyncio.Task[Snapshot]

    def is_fresh(self) -> bool:
        """Whoever comes while a look is under way waits for it, so that a slow ledger is asked once."""
        return not self.task.done() or time.monotonic() - self.since <= MAX_AGE_SECONDS


class Snapshots:
    """Looks by key. For one event loop; `look` runs in a thread, one at a time for a key."""

    def __init__(
        self, look: Callable[[str], Mapping[str, Any]], etag: Callable[[Mapping[str, Any]], str]
    ) -> None:
        self._look, self._etag = look, etag
        self._looks: dict[str, _Look] = {}

    async def get(self, key: str) -> Snapshot:
        """A look that was begun at most MAX_AGE_SECONDS ago. Raises what `look` raises."""
        look = self._looks.get(key)
        if look is None or not look.is_fresh():
            look = self._looks[key] = _Look(time.monotonic(), asyncio.create_task(self._take(key)))
            self._drop_old()
        return await asyncio.shield(look.task)  # one who goes away does not end it for the others

    def forget(self, key: str) -> None:
        """Something was changed through us just now: the next look is a new one."""
        self._looks.pop(key, None)

    async def _take(self, key: str) -> Snapshot:
        value = await run_in_threadpool(self._look, key)
        return Snapshot(value, self._etag(value), json.dumps(value, separators=(",", ":")).encode())

    def _drop_old(self) -> None:
        if len(self._looks) > MOST_KEPT:
            self._looks = {key: look for key, look in self._looks.items() if look.is_fresh()}
