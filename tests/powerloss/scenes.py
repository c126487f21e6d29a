"""What is recorded: a few lines for each thing during which power may fail."""

import shutil
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from service.core.job import Verb
from service.selftest.victims import take_up
from tests.engine.stories import SETTINGS, check_that_nothing_is_lost_or_doubled, later_run, library
from tests.engine.world import World

Tell = Callable[..., None]


@dataclass(frozen=True)
class Step:
    """One process: what it does and tells, and where it is killed, if it is."""

    act: Callable[[Path, Tell], None]
    arm: str = ""

    @property
    def ends(self) -> int:
        """How: 0, or minus a signal."""
        return -signal.SIGKILL if self.arm else 0


def nothing_before(folder: Path) -> None:
    """The scene begins with an empty folder."""


def the_same_again(world: World) -> None:
    """What a user does after a power cut: the same command again, until the job is done."""
    if world.jobs.find(world.order()) is None:
        world.jobs.create(world.order())
    take_up(world)
    job = world.jobs.find(world.order())
    assert job is not None
    assert job["state"] == "succeeded", job["reason"]


@dataclass(frozen=True)
class Scene:
    """`before` is not recorded; `steps` are; `finish` and `check` are for what a power cut has left."""

    steps: Sequence[Step]
    before: Callable[[Path], None] = nothing_before
    finish: Callable[[World], Any] = the_same_again
    check: Callable[[Path], None] = check_that_nothing_is_lost_or_doubled


@contextmanager
def opened(folder: Path) -> Iterator[World]:
    """The scene's world, with small batches and segments."""
    world = World(folder)
    world.configure(**SETTINGS)
    try:
        yield world
    finally:
        world.ledger.close()


def ingest(folder: Path, tell: Tell) -> None:
    """Create the job if there is none, and see it through."""
    with opened(folder) as world:
        job = world.jobs.find(world.order()) or world.jobs.create(world.order())
        tell(job=job["id"])
        take_up(world)
        tell(state=world.jobs.get(job["id"])["state"])


def paused_and_resumed(folder: Path, tell: Tell) -> None:
    """Begin paused, resume, pause, and resume: each wish is told once it is stored."""
    with opened(folder) as world:
        job = world.jobs.create(world.order(start_paused=True))["id"]
        tell(wish="paused", job=job)
        for verb, wish in ((Verb.RESUME, "running"), (Verb.PAUSE, "paused"), (Verb.RESUME, "running")):
            tell(wish="")  # from here on either may be found
            world.jobs.ask(job, verb)
            tell(wish=wish)
        take_up(world)


def only_a_folder(folder: Path, tell: Tell) -> None:
    """A process that ended before it had synced the name of the data folder that it made."""
    (folder / "data").mkdir()


def a_library(folder: Path) -> None:
    """Documents, and no collection."""
    library(folder).ledger.close()
    shutil.rmtree(folder / "data")


def a_later_job(folder: Path) -> None:
    """A collection, and a job for what was changed, moved and removed since."""
    later_run(folder)


SCENES = {
    "first": Scene([Step(ingest)], a_library),
    "later": Scene([Step(ingest)], a_later_job),
    "wishes": Scene([Step(paused_and_resumed)], a_library),
    "killed at birth": Scene(
        [
            Step(only_a_folder),
            *[Step(ingest, "folder.unsynced=kill@1") for _ in ("collections", "docs")],
            Step(ingest, "file.written=kill@1"),
            Step(ingest),
        ],
        a_library,
    ),
    "killed in a commit": Scene(
        [Step(ingest, "commit.synced=kill@2"), Step(ingest, "manifest.replaced=kill@2"), Step(ingest)],
        a_later_job,
    ),
}
