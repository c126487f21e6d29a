"""kill -9 between any two effects, and the same job again: nothing is lost and nothing doubled."""

import random
from collections import Counter
from pathlib import Path

import pytest

from service.failpoints import POINTS
from tests.engine.stories import SETTINGS, Story, chain, check_that_nothing_is_lost_or_doubled
from tests.engine.victims import FINISHED, KILLED, Victims
from tests.engine.world import World

IN_A_FIRST_RUN_ONLY = {point for point in POINTS if point.startswith("file.")}  # collection.json
AGAIN = [point for point in POINTS if point not in IN_A_FIRST_RUN_ONLY]
SEEDS = range(4)


@pytest.fixture(scope="session")
def passed_first(victims: Victims, first: Story, tmp_path_factory: pytest.TempPathFactory) -> Counter[str]:
    return passings(victims, first, tmp_path_factory.mktemp("passed"))


@pytest.fixture(scope="session")
def passed_later(victims: Victims, later: Story, tmp_path_factory: pytest.TempPathFactory) -> Counter[str]:
    return passings(victims, later, tmp_path_factory.mktemp("passed"))


def passings(victims: Victims, story: Story, folder: Path) -> Counter[str]:
    """How often an uninterrupted run passes each point."""
    copy = story.copy(folder / "copy")
    assert victims.run(copy, f"record={folder / 'log'}", **SETTINGS) == FINISHED
    check_that_nothing_is_lost_or_doubled(copy)
    return Counter((folder / "log").read_text().split())


def kill_and_resume(victims: Victims, copy: Path, arm: str) -> None:
    assert victims.run(copy, arm, **SETTINGS) == KILLED
    assert victims.run(copy, **SETTINGS) == FINISHED, (copy / "victims.log").read_text()
    check_that_nothing_is_lost_or_doubled(copy)


def test_the_two_runs_pass_every_point_and_meet_what_can_happen(
    victims: Victims, later: Story, folder: Path, passed_first: Counter[str], passed_later: Counter[str]
) -> None:
    assert set(POINTS) == set(passed_first) | set(passed_later)
    assert set(AGAIN) == set(passed_later)
    copy = later.copy(folder)
    assert victims.run(copy, **SETTINGS) == FINISHED
    world = World(copy)
    records = chain(world)
    world.ledger.close()
    assert {"ingest", "merge"} <= {record.kind for record in records}
    streamed = Counter(said["version"] for record in records for said in record.versions_added)
    assert max(streamed.values()) > 2


@pytest.mark.parametrize("passing", ["first", "last"])
@pytest.mark.parametrize("point", AGAIN)
def test_a_crash_anywhere_loses_nothing_and_doubles_nothing(
    point: str, passing: str, victims: Victims, later: Story, folder: Path, passed_later: Counter[str]
) -> None:
    # The last passing but one: how often a point is passed depends a little on timing.
    number = 1 if passing == "first" else max(passed_later[point] - 1, 1)
    kill_and_resume(victims, later.copy(folder), f"{point}=kill@{number}")


@pytest.mark.parametrize("point", [*sorted(IN_A_FIRST_RUN_ONLY), "folder.unsynced", "manifest.created"])
def test_a_crash_at_the_birth_of_a_collection_leaves_a_collection_that_can_be_born(
    point: str, victims: Victims, first: Story, folder: Path
) -> None:
    kill_and_resume(victims, first.copy(folder), f"{point}=kill")


@pytest.mark.parametrize("seed", SEEDS)
def test_crash_after_crash_loses_nothing_and_doubles_nothing(
    seed: int, victims: Victims, later: Story, folder: Path, passed_later: Counter[str]
) -> None:
    crash_again_and_again(random.Random(seed), victims, later, folder, passed_later)


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(100, 160))
def test_crash_after_crash_for_long(
    seed: int, victims: Victims, later: Story, folder: Path, passed_later: Counter[str]
) -> None:
    crash_again_and_again(random.Random(seed), victims, later, folder, passed_later)


def crash_again_and_again(
    chance: random.Random, victims: Victims, story: Story, folder: Path, passed: Counter[str]
) -> None:
    """At most three crashes in a row without a commit between: the third would blame the documents in hand."""
    copy = story.copy(folder)
    for _ in range(6):
        arm = f"{chance.choice(AGAIN)}=kill@{chance.randint(1, 6)},ledger.after=kill@{chance.randint(1, 3)}"
        if victims.run(copy, arm, **SETTINGS) != KILLED:
            break
    else:
        assert victims.run(copy, **SETTINGS) == FINISHED
    check_that_nothing_is_lost_or_doubled(copy)


@pytest.mark.soak
@pytest.mark.parametrize("story", ["first", "later"])
def test_a_crash_at_every_passing_of_every_point(
    story: str, victims: Victims, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    told: Story = request.getfixturevalue(story)
    passed: Counter[str] = request.getfixturevalue(f"passed_{story}")
    for point, number in ((point, n) for point in passed for n in range(1, passed[point] + 1)):
        copy = told.copy(tmp_path / f"{point}-{number}")
        victims.run(copy, f"{point}=kill@{number}", **SETTINGS)
        assert victims.run(copy, **SETTINGS) == FINISHED
        check_that_nothing_is_lost_or_doubled(copy)
