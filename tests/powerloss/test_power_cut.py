"""Power fails at any moment, and what callers were told is so; the work then ends as if nothing had happened."""

import random
import shutil
from collections.abc import Iterable, Iterator, Sequence
from itertools import count, pairwise
from pathlib import Path

import pytest

from tests.powerloss.checking import lay_out
from tests.powerloss.disk import Disk, Loss, Tree
from tests.powerloss.losses import ALL_KEPT, SURE, in_order, scattered
from tests.powerloss.recording import PLACES, Promises, Recording
from tests.powerloss.scenes import SCENES
from tests.powerloss.trace import HOLLOW, Event

pytestmark = pytest.mark.timeout(1800)  # the first one waits for all recordings

MOMENTS = 3  # of each scene
ENDS = 2  # of each moment: how many of its disks are also worked on to the end


@pytest.mark.parametrize("name", SCENES)
def test_the_model_of_the_disk_agrees_with_the_disk(name: str, recordings: dict[str, Recording]) -> None:
    recording = recordings[name]
    *_, (_, _, disk, _) = recording.moments()
    root = recording.root
    paths = [path for place in PLACES for path in (root / place, *(root / place).rglob("*")) if path.exists()]
    found = {str(path.relative_to(root)): path for path in paths if not path.name.endswith(HOLLOW)}
    tree = disk.after(ALL_KEPT)
    assert set(tree) == set(found)
    for path, content in tree.items():
        assert content == (None if found[path].is_dir() else found[path].read_bytes()), path


@pytest.mark.parametrize("name", SCENES)
def test_a_power_cut_loses_nothing_that_was_promised(
    name: str, recordings: dict[str, Recording], memory: Path
) -> None:
    recording, chance = recordings[name], random.Random(name)
    changes = [place for place, event in enumerate(recording.events) if event.kind != "told"]
    places = set(chance.sample(changes, MOMENTS))
    for place, disk, promises in _stops(recording, places):
        disks = list(_disks(disk, (*SURE, scattered(place), scattered(-place))))
        to_the_end = chance.sample(disks, min(ENDS, len(disks)))
        for loss, tree in disks:
            where = f"{name}, after event {place}, {loss.name}"
            check(where, recording, tree, promises, memory, to_the_end=(loss, tree) in to_the_end)


@pytest.mark.soak
@pytest.mark.timeout(6 * 3600)
@pytest.mark.parametrize("name", SCENES)
def test_a_power_cut_at_every_moment(name: str, recordings: dict[str, Recording], memory: Path) -> None:
    recording = recordings[name]
    seen = set()
    for place, disk, promises in _stops(recording, _ends_of_writing(recording.events)):
        for loss, tree in _disks(disk, (*SURE, (scattered if place % 2 else in_order)(place))):
            found = hash((promises.moments, frozenset(tree.items())))
            if found not in seen:
                seen.add(found)
                check(f"{name}, after event {place}, {loss.name}", recording, tree, promises, memory)
    print(f"{name}: {len(recording.events)} events, {len(seen)} different disks")


def _ends_of_writing(events: Sequence[Event]) -> Iterator[int]:
    """Every event but writes after which the same file is written on: disks that lose a part of them come later."""
    for place, (event, after) in enumerate(pairwise((*events, None))):
        if after is None or not event.kind == after.kind == "write" or event.path != after.path:
            yield place


def check(
    where: str, recording: Recording, tree: Tree, promises: Promises, memory: Path, to_the_end: bool = True
) -> None:
    """Start on such a disk; the failure says which one it was."""
    scene = SCENES[recording.name]
    folder = lay_out(tree, recording.root / "library", memory / f"disk-{next(_NUMBERS)}")
    try:
        scene.promised(folder, promises)
        if to_the_end:
            scene.finish(folder)
            scene.check(folder)
    except Exception as error:
        raise AssertionError(where) from error
    finally:
        shutil.rmtree(folder)


_NUMBERS = count()


def _stops(recording: Recording, places: Iterable[int]) -> Iterator[tuple[int, Disk, Promises]]:
    wanted = set(places)
    for place, _, disk, promises in recording.moments():
        if place in wanted:
            yield place, disk, promises


def _disks(disk: Disk, losses: Iterable[Loss]) -> Iterator[tuple[Loss, Tree]]:
    """Each that differs from those before."""
    before: list[Tree] = []
    for loss in losses:
        tree = disk.after(loss)
        if tree not in before:
            before.append(tree)
            yield loss, tree
