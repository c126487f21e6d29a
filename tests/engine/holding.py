"""Ways to step in while a worker is in a given stage, and to keep it there until it is told to stop."""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from threading import Event, Timer
from typing import Any

import pytest

from service.engine import ingest
from service.engine.commit import Committer
from service.errors import Stopped
from service.ports import FileTask, Float32Vector, Folder
from service.selftest.fake_embedder import FakeEmbedder
from service.selftest.fake_preparer import FakePreparer
from service.sources.library import Library
from tests.engine.world import World

PATIENCE_SECONDS = 20.0
FIRST_LATE = 7  # text that `LateEmbedder` does not answer at once
Act = Callable[[], None]


class Died(BaseException):
    """The worker's process ends here, as far as the ledger can tell."""


class Once:
    """An act that happens at the first call; says whether this call was it."""

    def __init__(self, act: Act) -> None:
        self._acts = [act]

    def __call__(self) -> bool:
        if not self._acts:
            return False
        self._acts.pop()()
        return True


def wait_until(true: Callable[[], bool]) -> None:
    """Poll; what does not become true in time fails the test."""
    end = time.monotonic() + PATIENCE_SECONDS
    while not true():
        assert time.monotonic() < end, "it never came to that"
        time.sleep(0.002)


def newest(world: World) -> dict[str, Any]:
    """The job that was made last."""
    return world.jobs.listing(limit=1)["jobs"][0]


@dataclass
class HeldSource:
    """A library whose folder `d3` takes for ever to list, the first time."""

    library: Library
    once: Once

    def scan(self, folder: str, pulse: Act) -> Iterator[Folder]:
        if folder == "d3" and self.once():
            wait_until(lambda: pulse() is not None)
        return self.library.scan(folder, pulse)

    def locate(self, folder: str, name: str) -> Path:
        return self.library.locate(folder, name)


class HeldPreparer(FakePreparer):
    """Its fourth file takes for ever, the first time."""

    def __init__(self, act: Act) -> None:
        super().__init__()
        self.told, self.once, self.before = Event(), Once(act), self._hold

    def _hold(self, _: FileTask) -> None:
        if len(self.prepared) >= 3 and self.once():
            self.told.clear()
            assert self.told.wait(PATIENCE_SECONDS)
            raise Stopped

    def stop(self) -> None:
        self.told.set()
        super().stop()


class LateEmbedder(FakeEmbedder):
    """From the seventh text on nothing is answered until somebody cancels; the seventh comes a little late."""

    def __init__(self, act: Act) -> None:
        super().__init__()
        self.once, self.queued = Once(act), list[Future[Float32Vector]]()

    def submit(self, text: str) -> Future[Float32Vector]:
        done = super().submit(text)
        if len(self.texts) < FIRST_LATE or any(future.cancelled() for future in self.queued):
            return done
        future: Future[Float32Vector] = Future()
        if self.once():
            future.set_running_or_notify_cancel()
            Timer(0.1, future.set_result, [done.result()]).start()
        else:
            self.queued.append(future)
        return future


def in_listing(world: World, _: pytest.MonkeyPatch, act: Act) -> None:
    once = Once(act)
    world.open_source = lambda _: HeldSource(Library(world.library), once)


def in_parsing(world: World, _: pytest.MonkeyPatch, act: Act) -> None:
    world.preparer = HeldPreparer(act)


def in_embedding(world: World, _: pytest.MonkeyPatch, act: Act) -> None:
    world.embedder = LateEmbedder(act)


def after_a_commit(world: World, monkeypatch: pytest.MonkeyPatch, act: Act) -> None:
    """The act happens after the first commit, and the worker goes on when it has come to know of it."""
    commit, once = Committer.commit, Once(act)

    def then_hold(self: Committer, *args: object, **kwargs: object) -> int:
        generation = commit(self, *args, **kwargs)
        if once():
            wait_until(lambda: self.lease.wish != "running" or world.stop.is_set())
        return generation

    monkeypatch.setattr(Committer, "commit", then_hold)


def in_removal(world: World, monkeypatch: pytest.MonkeyPatch, act: Act) -> None:
    """After the first of two removals, in a second run."""
    world.run()
    (world.library / "d1/x1.txt").unlink()
    (world.library / "d5/x5.txt").unlink()
    monkeypatch.setattr(ingest, "_DELETES_AT_ONCE", 1)
    after_a_commit(world, monkeypatch, act)


STAGES = {
    "listing": in_listing,
    "parsing": in_parsing,
    "embedding": in_embedding,
    "between commits": after_a_commit,
    "removal": in_removal,
}
