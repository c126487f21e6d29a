"""kill -9 between any two effects, and the same job again: nothing is lost and nothing doubled."""

import random
from collections import Counter
from pathlib import Path

import pytest

from service.core.job import Verb
from service.failpoints import OF_COMMITS
from service.selftest.victims import FINISHED, KILLED, Victims
from tests.engine.stories import SETTINGS, Story, chain, check_that_nothing_is_lost_or_doubled
from tests.engine.world import World

IN_A_FIRST_RUN_ONLY = {point for point in OF_COMMITS if point.startswith("file.")}  # collection.json
AGAIN = [point for point in OF_COMMITS if point not in IN_A_FIRST_RUN_ONLY]
WITHIN_A_FILE = (".created", ".written", ".synced")
PASSINGS = [(point, "last") for point in AGAIN]
PASSINGS += [(point, "first") for point in AGAIN if not point.endswith(WITHIN_A_FILE)]
SEEDS = range(2)


def kill_and_resume(victims: Victims, story: Story, folder: Path, point: str, passing: int = 1) -> None:
    """Kill at a passing, or at an earlier one where timing makes fewer commits today; then the same job again."""
    copy = story.copy(folder / str(passing))
    ended = victims.run(copy, f"{point}=kill@{passing}", **SETTINGS)
    if ended == FINISHED and passing > 1:
        kill_and_resume(victims, story, folder, point, passing - 1)
        return
    assert ended == KILLED
    assert victims.run(copy, **SETTINGS) == FINISHED, (copy / "victims.log").read_text()
    check_that_nothing_is_lost_or_doubled(copy)


def test_the_two_runs_pass_every_point_and_meet_what_can_happen(
    victims: Victims, later: Story, folder: Path, passed_first: Counter[str], passed_later: Counter[str]
) -> None:
    assert set(OF_COMMITS) == set(passed_first) | set(passed_later)
    assert set(AGAIN) == set(passed_later)
    copy = later.copy(folder)
    assert victims.run(copy, **SETTINGS) == FINISHED
    world = World(copy)
    records = chain(world)
    world.ledger.close()
    assert {"ingest", "merge"} <= {record.kind for record in records}
    streamed = Counter(said["version"] for record in records for said in record.versions_added)
    assert max(streamed.values()) > 1


@pytest.mark.parametrize(("point", "passing"), PASSINGS)
def test_a_crash_anywhere_loses_nothing_and_doubles_nothing(
    point: str, passing: str, victims: Victims, later: Story, folder: Path, passed_later: Counter[str]
) -> None:
    number = 1 if passing == "first" else passed_later[point]
    kill_and_resume(victims, later, folder, point, number)


@pytest.mark.parametrize("point", [*sorted(IN_A_FIRST_RUN_ONLY), "folder.unsynced", "manifest.created"])
def test_a_crash_at_the_birth_of_a_collection_leaves_a_collection_that_can_be_born(
    point: str, victims: Victims, first: Story, folder: Path
) -> None:
    kill_and_resume(victims, first, folder, point)


@pytest.mark.parametrize("seed", SEEDS)
def test_crash_after_crash_loses_nothing_and_doubles_nothing(
    seed: int, victims: Victims, later: Story, folder: Path
) -> None:
    crash_again_and_again(random.Random(seed), victims, later.copy(folder))


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(100, 160))
def test_crash_after_crash_for_long(seed: int, victims: Victims, later: Story, folder: Path) -> None:
    crash_again_and_again(random.Random(seed), victims, later.copy(folder))


def crash_again_and_again(chance: random.Random, victims: Victims, copy: Path) -> None:
    """Crashes at random points until the job is done, at most eight.

    A document that was in hand at three of them is under suspicion, as it must be: trying it again clears it.
    """
    ended, crashes = KILLED, 0
    while ended == KILLED:
        arm = f"{chance.choice(AGAIN)}=kill@{chance.randint(1, 5)}"
        ended = victims.run(copy, arm if crashes < 8 else "", **SETTINGS)
        crashes += 1
    if retried_suspects(copy):
        assert victims.run(copy, **SETTINGS) == FINISHED
    check_that_nothing_is_lost_or_doubled(copy)


def retried_suspects(copy: Path) -> bool:
    """Whether there were any."""
    world = World(copy)
    job = world.jobs.find(world.order())
    assert job is not None
    failed = world.jobs.items(job["id"], "failed")["items"]
    assert {item["reason"] for item in failed} <= {"poison"}
    if failed:
        world.jobs.ask(job["id"], Verb.RETRY)
    world.ledger.close()
    return bool(failed)


@pytest.mark.soak
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("story", ["first", "later"])
def test_a_crash_at_every_passing_of_every_point(
    story: str, victims: Victims, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    told: Story = request.getfixturevalue(story)
    passed: Counter[str] = request.getfixturevalue(f"passed_{story}")
    for point, number in [(name, n) for name in passed for n in range(1, passed[name] + 1)]:
        copy = told.copy(tmp_path / f"{point}-{number}")
        if victims.run(copy, f"{point}=kill@{number}", **SETTINGS) == KILLED:  # else fewer commits today
            assert victims.run(copy, **SETTINGS) == FINISHED
        check_that_nothing_is_lost_or_doubled(copy)
