"""Every kind of work on a disk that fails calls of ours: it is held or told clearly, and ends as if nothing had been."""

import errno
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from service.core.space import Space
from service.engine.lease import Observer
from service.engine.sweep import sweep
from service.errors import TryAgain
from service.maintenance import keeper
from service.selftest.account import Account, ending_of, faults
from service.selftest.deeds import take_up
from service.selftest.fake_embedder import FAKE_SPACE, FakeEmbedder
from service.selftest.phases import NAMED, Phase
from service.selftest.world import World
from tests.faults.faulty import FOREVER, KINDS, FaultyDisk, faulty_disk

PHASES = ("later", "merge", "withdraw", "collect", "backup")
OTHERS = (
    "compact",
    "purge",
    "rollback",
    "repair",
    "drop",
    "restore",
    "rebuild",
    "reindex",
)  # in the long form
TRIES = 6  # one more than those after which a task that ends unexpectedly has failed
ERRORS = (errno.EIO, errno.ENOSPC)
pytestmark = pytest.mark.usefixtures("quick")


@dataclass(frozen=True)
class Fault:
    """The first of these calls fails, and where they differ all up to the last."""

    kind: str
    error: int
    first: int
    last: int

    @classmethod
    def at(cls, kind: str, error: int, first: int, for_good: bool) -> "Fault":
        """A disk that gives out nothing more is a doubt larger than one segment, which stops and asks: not for good."""
        once = not for_good or (error == errno.EIO and kind in ("read", "open"))
        return cls(kind, error, first, first if once else FOREVER)

    def __str__(self) -> str:
        after = " and all after it" if self.last > self.first else ""
        return f"{self.kind} {self.first}{after}: {errno.errorcode[self.error]}"


@dataclass(frozen=True)
class Ground:
    """A phase's folder as it stands before, how it ends when nothing fails, and how many calls of each kind that takes."""

    phase: Phase
    origin: Path
    disk: FaultyDisk
    truth: Mapping[str, Account]
    calls: Mapping[str, int]

    @classmethod
    def of(cls, phase: Phase, folder: Path, disk: FaultyDisk) -> "Ground":
        origin = folder / "origin"
        origin.mkdir()
        prepared = opened(phase, origin, FAKE_SPACE)
        phase.prepare(prepared)
        prepared.ledger.close()
        bare = cls(phase, origin, disk, {}, {})
        with bare.world() as world:
            disk.watch()
            act(world, phase)
            calls = disk.passed()
            disk.mend()
            return cls(phase, origin, disk, ending_of(phase, world), calls)

    @contextmanager
    def world(self) -> Iterator[World]:
        """A copy on the faulty disk."""
        folder = Path(tempfile.mkdtemp(dir=self.disk.path))
        (folder / "library").symlink_to(self.origin / "library")
        for each in self.origin.iterdir():
            if each.name != "library":  # a copied file would be a changed file
                shutil.copytree(each, folder / each.name)
        world = opened(self.phase, folder, self.phase.space)
        try:
            yield world
        finally:
            self.disk.mend()
            world.ledger.close()
            shutil.rmtree(folder)

    def check(self, fault: Fault) -> None:
        """Let it fail during the work; on the mended disk all must then end by itself as it does when nothing fails."""
        with self.world() as world:
            self.disk.fail(fault.kind, fault.error, fault.first, fault.last)
            for _ in range(TRIES if fault.last == FOREVER else 1):
                act(world, self.phase)
            self.disk.mend()
            for _ in range(TRIES):
                act(world, self.phase)
            ending = ending_of(self.phase, world)
            if fault.error == errno.EIO and fault.kind in ("read", "open"):
                self._forgive_a_copy_put_aside(ending)
            found = faults(ending, self.truth)
            assert not found, f"{fault}: {found}"

    def _forgive_a_copy_put_aside(self, ending: Mapping[str, Account]) -> None:
        """A file that the disk does not give out counts as damaged: it is put aside, and what it held made anew."""
        for when, account in ending.items():
            account["taken out"] = self.truth[when]["taken out"]
            for name, collection in account["collections"].items():
                right = self.truth[when]["collections"].get(name)
                collection["quarantine"] = right and right["quarantine"]


@contextmanager
def ground(phase: str, folder: Path, program: Path) -> Iterator[Ground]:
    with faulty_disk(program, folder / "faulty") as disk:
        yield Ground.of(NAMED[phase], folder, disk)


def opened(phase: Phase, folder: Path, space: Space) -> World:
    world = World(folder, embedder=FakeEmbedder(space))
    world.configure(**phase.settings)
    return world


def act(world: World, phase: Phase) -> None:
    """What a process does that goes on by itself; of errors only those of a passing condition may be raised."""
    if phase.act is take_up:
        try_jobs(world)
        return
    with suppress(TryAgain):
        phase.act(world)


def try_jobs(world: World) -> None:
    worker = world.worker("worker-of-the-test", dead_seconds=0.0)
    try:
        worker.take_one()
    except TryAgain as error:
        with suppress(TryAgain):
            worker._let_go(error)
    with suppress(TryAgain):
        sweep(world.ledger, Observer(0.0), world.settings)


def spread(calls: Mapping[str, int], turn: int) -> Iterator[Fault]:
    """One fault of each kind: early and late ones, once and for good, of either error, other ones at every turn."""
    for n, kind in enumerate(KINDS):
        if calls[kind]:
            first = 1 + (calls[kind] - 1) * ((2 * n + 3 * turn) % 5) // 4
            yield Fault.at(kind, ERRORS[(n + turn) % 2], first, (n + turn) // 2 % 2 == 1)


@pytest.mark.parametrize("phase", PHASES)
def test_work_on_a_disk_that_fails_ends_as_if_nothing_had_been(
    program: Path, tmp_path: Path, phase: str, monkeypatch: Any
) -> None:
    monkeypatch.setattr(keeper, "RETRY_SECONDS", 0.0)
    with ground(phase, tmp_path, program) as found:
        for fault in spread(found.calls, PHASES.index(phase)):
            found.check(fault)


def test_a_disk_on_which_a_backup_does_not_last_is_not_taken_for_a_damaged_ledger(
    program: Path, tmp_path: Path
) -> None:
    with ground("backup", tmp_path, program) as found:
        found.check(Fault.at("remove", errno.EIO, 2, True))


@pytest.mark.soak
@pytest.mark.timeout(0)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("phase", PHASES + OTHERS)
def test_every_call_may_fail(program: Path, tmp_path: Path, phase: str, kind: str, monkeypatch: Any) -> None:
    monkeypatch.setattr(keeper, "RETRY_SECONDS", 0.0)
    with ground(phase, tmp_path, program) as found:
        for n in range(1, found.calls[kind] + 1):
            found.check(Fault.at(kind, ERRORS[n % 2], n, n // 2 % 2 == 1))
