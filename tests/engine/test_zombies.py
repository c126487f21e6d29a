"""A worker frozen between two effects until another has taken over: nothing it does after the thaw counts."""

import fcntl
import os
import time
from collections import Counter
from pathlib import Path

import pytest

from service.failpoints import OF_COMMITS
from service.index.manifest import read_manifest
from service.ledger.collections import by_name
from service.selftest.victims import FINISHED, Victims
from tests.engine.stories import SETTINGS, Story, check_that_nothing_is_lost_or_doubled, dump
from tests.engine.world import World

AT_BIRTH = [point for point in OF_COMMITS if point.startswith("file.")]  # collection.json
LATER = [point for point in OF_COMMITS if point not in AT_BIRTH]
ALIKE = [point for point in LATER if point.endswith((".created", ".synced"))]  # as the point after them
MOST_SECONDS = 20.0


@pytest.mark.parametrize("point", [point for point in LATER if point not in ALIKE])
def test_a_zombie_changes_nothing(
    point: str, victims: Victims, later: Story, folder: Path, passed_later: Counter[str]
) -> None:
    assert freeze_take_over_and_thaw(victims, later.copy(folder), point, max(1, passed_later[point] // 2))


@pytest.mark.parametrize("point", ["file.absent", "file.created"])
def test_a_zombie_changes_nothing_at_the_birth_of_a_collection(
    point: str, victims: Victims, first: Story, folder: Path
) -> None:
    assert freeze_take_over_and_thaw(victims, first.copy(folder), point, 1)


@pytest.mark.soak
@pytest.mark.parametrize("point", LATER)
def test_a_zombie_of_any_passing_changes_nothing(
    point: str, victims: Victims, later: Story, tmp_path: Path, passed_later: Counter[str]
) -> None:
    for passing in range(2, passed_later[point] + 1):
        copy = later.copy(tmp_path / str(passing))
        if not freeze_take_over_and_thaw(victims, copy, point, passing):
            break  # timing makes fewer commits today


def freeze_take_over_and_thaw(victims: Victims, copy: Path, point: str, passing: int) -> bool:
    """Whether the point was passed so often at all."""
    zombie = victims.start(copy, f"{point}=stop@{passing}", **SETTINGS)
    if victims.wait(zombie) == FINISHED:
        return False
    heir = victims.start(copy, **SETTINGS)
    world = World(copy)
    if keeps_others_from_publishing(world):
        wait_until_the_heir_waits(world)
        thaw_and_watch_the_manifest(victims, zombie, world)
        assert victims.wait(heir) == FINISHED
    else:
        assert victims.wait(heir) == FINISHED
        check_that_nothing_is_lost_or_doubled(copy)
        ledger, manifest = dump(world), read_manifest(world.files)
        thaw_and_watch_the_manifest(victims, zombie, world)
        assert dump(world) ^ ledger == set()
        assert read_manifest(world.files) == manifest
    assert world.contents() == world.expected()
    assert world.verify()["valid"], world.verify()
    world.run()  # the next start removes what the zombie has left
    world.ledger.close()
    check_that_nothing_is_lost_or_doubled(copy)
    return True


def keeps_others_from_publishing(world: World) -> bool:
    """Whether the frozen worker holds the lock under which a manifest is replaced."""
    try:
        descriptor = os.open(world.files / "publish.lock", os.O_RDWR)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def wait_until_the_heir_waits(world: World) -> None:
    """Its job is not done before readers can see it, and says so; all of it is committed already."""
    deadline = time.monotonic() + MOST_SECONDS
    while (job := world.jobs.find(world.order())) and (job["reason"] or {}).get("code") != "publish_failing":
        assert time.monotonic() < deadline, job
        time.sleep(0.02)
    assert job is not None
    assert job["state"] == "running"
    assert job["progress"]["settled"] == job["progress"]["total"]
    with world.ledger.read() as c:
        row = by_name(c, "docs")
    assert row.generation > row.published_generation


def thaw_and_watch_the_manifest(victims: Victims, zombie: int, world: World) -> None:
    """What is published never goes back, however late the zombie wakes."""
    before = read_manifest(world.files)
    victims.thaw(zombie)
    assert victims.wait(zombie) == FINISHED, (world.folder / "victims.log").read_text()
    assert "lost the lease" in (world.folder / "victims.log").read_text()
    after = read_manifest(world.files)
    assert after is not None
    assert after.generation >= (before.generation if before else 0)
