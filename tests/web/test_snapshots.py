"""Fifty pollers cost one look."""

import asyncio
import threading
import time
from collections.abc import Mapping
from typing import Any

import pytest

from service.errors import NotFound
from service.web.snapshots import MAX_AGE_SECONDS, MOST_KEPT, Snapshots


class Ledger:
    """Counts looks, and what runs at the same time."""

    def __init__(self, seconds: float = 0.0) -> None:
        self.looks = self.most = self._now = 0
        self._seconds, self._guard = seconds, threading.Lock()

    def look(self, key: str) -> Mapping[str, Any]:
        with self._guard:
            self.looks += 1
            self._now += 1
            self.most = max(self.most, self._now)
        time.sleep(self._seconds)
        with self._guard:
            self._now -= 1
        if key == "nobody":
            raise NotFound("job", key)
        return {"version": self.looks}


def of(ledger: Ledger) -> Snapshots:
    return Snapshots(ledger.look, lambda value: f'"{value["version"]}"')


def test_those_who_come_together_share_one_look() -> None:
    async def run() -> None:
        ledger = Ledger(seconds=0.05)
        snapshots = of(ledger)
        seen = await asyncio.gather(*(snapshots.get("a") for _ in range(50)))
        assert (ledger.looks, {shot.etag for shot in seen}) == (1, {'"1"'})

    asyncio.run(run())


def test_a_look_is_used_again_until_it_is_too_old() -> None:
    async def run() -> None:
        ledger = Ledger()
        snapshots = of(ledger)
        first = await snapshots.get("a")
        assert await snapshots.get("a") is first
        await asyncio.sleep(MAX_AGE_SECONDS * 1.2)
        assert (await snapshots.get("a")).value == {"version": 2}

    asyncio.run(run())


def test_a_slow_ledger_is_asked_once_at_a_time() -> None:
    async def run() -> None:
        ledger = Ledger(seconds=MAX_AGE_SECONDS * 2)
        snapshots = of(ledger)
        waiting = []
        for _ in range(10):
            waiting.append(asyncio.create_task(snapshots.get("a")))
            await asyncio.sleep(MAX_AGE_SECONDS / 5)
        await asyncio.gather(*waiting)
        assert ledger.most == 1

    asyncio.run(run())


def test_after_a_change_nobody_joins_the_look_that_was_under_way() -> None:
    async def run() -> None:
        snapshots = of(Ledger(seconds=0.05))
        early = asyncio.create_task(snapshots.get("a"))
        await asyncio.sleep(0.01)
        snapshots.forget("a")
        assert (await snapshots.get("a")).value["version"] > 1
        await early

    asyncio.run(run())


def test_one_who_goes_away_does_not_end_the_look_for_the_others() -> None:
    async def run() -> None:
        snapshots = of(Ledger(seconds=0.05))
        leaving, staying = (asyncio.create_task(snapshots.get("a")) for _ in range(2))
        await asyncio.sleep(0.01)
        leaving.cancel()
        assert (await staying).value == {"version": 1}

    asyncio.run(run())


def test_an_error_reaches_everybody_and_memory_stays_bounded() -> None:
    async def run() -> None:
        snapshots = of(Ledger())
        for _ in range(2):
            with pytest.raises(NotFound):
                await snapshots.get("nobody")
        for n in range(300):
            await snapshots.get(f"early-{n}")
        await asyncio.sleep(MAX_AGE_SECONDS * 1.1)
        await snapshots.get("late")
        assert len(snapshots._looks) <= MOST_KEPT

    asyncio.run(run())
