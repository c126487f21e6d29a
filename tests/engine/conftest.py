import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from service.failpoints import OF_COMMITS
from service.selftest.victims import FINISHED, Victims
from tests.engine.stories import SETTINGS, Story, check_that_nothing_is_lost_or_doubled, first_run, later_run
from tests.engine.world import World

_MEMORY = Path(
    "/dev/shm"
)  # a killed process loses nothing that it wrote, synced or not: a disk shows no more


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path)
    yield made
    made.ledger.close()


@pytest.fixture(scope="session")
def victims() -> Iterator[Victims]:
    with Victims() as started:
        yield started


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that does not exist yet, in memory where there is such a place."""
    with tempfile.TemporaryDirectory(dir=_MEMORY if _MEMORY.is_dir() else None) as made:
        yield Path(made) / "copy"


@pytest.fixture(scope="session")
def first(tmp_path_factory: pytest.TempPathFactory) -> Story:
    return first_run(tmp_path_factory.mktemp("stories") / "first")


@pytest.fixture(scope="session")
def later(tmp_path_factory: pytest.TempPathFactory) -> Story:
    return later_run(tmp_path_factory.mktemp("stories") / "later")


@pytest.fixture(scope="session")
def passed_first(victims: Victims, first: Story, tmp_path_factory: pytest.TempPathFactory) -> Counter[str]:
    return _passings(victims, first, tmp_path_factory.mktemp("passed"))


@pytest.fixture(scope="session")
def passed_later(victims: Victims, later: Story, tmp_path_factory: pytest.TempPathFactory) -> Counter[str]:
    return _passings(victims, later, tmp_path_factory.mktemp("passed"))


def _passings(victims: Victims, story: Story, folder: Path) -> Counter[str]:
    """How often an uninterrupted run passes each point of a commit."""
    copy = story.copy(folder / "copy")
    assert victims.run(copy, f"record={folder / 'log'}", **SETTINGS) == FINISHED
    check_that_nothing_is_lost_or_doubled(copy)
    return Counter(name for name in (folder / "log").read_text().split() if name in OF_COMMITS)
