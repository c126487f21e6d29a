"""Every sync is there for a reason: without it, some power cut loses something."""

import shutil
from collections.abc import Collection
from pathlib import Path

import pytest

from tests.powerloss.checking import lay_out
from tests.powerloss.disk import Loss, Tree
from tests.powerloss.losses import NOTHING_KEPT
from tests.powerloss.recording import Promises, Recording
from tests.powerloss.scenes import SCENES
from tests.powerloss.sites import sites
from tests.powerloss.sync_tables import CAUGHT, COVERED, NOT_PLAYED

pytestmark = pytest.mark.timeout(1800)  # the first one waits for all recordings


def test_the_tables_name_every_kind_of_sync(recordings: dict[str, Recording]) -> None:
    found = {r.kind_of(event) for r in recordings.values() for event in r.events if event.kind == "sync"}
    assert found == set(CAUGHT) | set(COVERED)
    assert not set(CAUGHT) & set(COVERED)


def test_every_place_that_syncs_is_played_or_has_a_reason_not_to_be() -> None:
    played = {kind.partition(" in ")[2] for kind in (*CAUGHT, *COVERED)}
    assert set(sites().values()) - played == set(NOT_PLAYED)


@pytest.mark.parametrize("kind", CAUGHT)
def test_without_it_a_power_cut_loses_something(
    kind: str, recordings: dict[str, Recording], memory: Path
) -> None:
    caught = CAUGHT[kind]
    recording = recordings[caught.scene]
    without = {kind} if caught.alone else {kind, *COVERED}
    disks = told(recording, without, kind, caught.loss, caught.at, [caught.chance])
    if caught.by == "promise":
        disks.reverse()  # most has been promised at the end
    assert any(fails(recording, tree, promises, caught.by, memory) for tree, promises in disks)


@pytest.mark.parametrize("name", SCENES)
def test_without_all_that_others_cover_nothing_is_lost(
    name: str, recordings: dict[str, Recording], memory: Path
) -> None:
    recording = recordings[name]
    for tree, promises in told(recording, COVERED, "", NOTHING_KEPT):
        assert not fails(recording, tree, promises, "promise", memory)


def told(
    recording: Recording,
    without: Collection[str],
    missing: str,
    loss: Loss,
    at: str = "",
    afterwards: Collection[str] = (),
) -> list[tuple[Tree, Promises]]:
    """What a power cut leaves whenever callers have been told something, without these kinds of syncs.

    `missing`: only from where this one has been left out. `at`: whenever these words are told, or an event of this kind comes.
    """
    found: list[tuple[Tree, Promises]] = []
    begun, before = not missing, -1
    for _, event, disk, promises in recording.moments(without, missing, afterwards):
        begun = begun or (event.kind == "sync" and recording.kind_of(event) == missing)
        heard = at in (event.kind, event.site) if at else promises.moments != before
        if begun and heard:
            before = promises.moments
            found.append((disk.after(loss), promises.copy()))
    return found


def fails(recording: Recording, tree: Tree, promises: Promises, by: str, memory: Path) -> bool:
    """Whether something is wrong with what such a power cut leaves."""
    scene = SCENES[recording.name]
    folder = lay_out(tree, recording.root / "library", memory / "disk")
    try:
        scene.promised(folder, promises)
        if by == "end":
            scene.finish(folder)
            scene.check(folder)
    except Exception:
        return True
    finally:
        shutil.rmtree(folder)
    return False
