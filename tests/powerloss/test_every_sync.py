"""Every sync is there for a reason: without it, some power cut loses something."""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.powerloss.checking import lay_out
from tests.powerloss.disk import Disk, Loss
from tests.powerloss.losses import BYTES_LOST, NOTHING_KEPT
from tests.powerloss.recording import Promises, Recording
from tests.powerloss.scenes import SCENES


@dataclass(frozen=True)
class Caught:
    """Which disk shows that the sync was missing: of which scene, what was lost, and at which words to the callers."""

    scene: str
    loss: Loss
    at: str = ""  # any that promise something
    by: str = "promise"  # or "end": only the work that goes on shows it


CAUGHT = {
    "./ in selftest.world.__post_init__": Caught("first", NOTHING_KEPT),
    "data/ in sqlite": Caught("first", NOTHING_KEPT),
    "tidestone.db in sqlite": Caught("first", NOTHING_KEPT),
    "tidestone.db-wal in sqlite": Caught("first", NOTHING_KEPT),
    "collections/ in engine.recover._prepare_folder": Caught("killed at birth", NOTHING_KEPT),
    "docs/ in engine.recover._prepare_folder": Caught("killed in a commit", NOTHING_KEPT),
    "collection.json in index.collection_file.claim_folder": Caught(
        "first", BYTES_LOST, "ledger.before", "end"
    ),
    "segments/*.faiss in index.segment.write_segment": Caught("first", BYTES_LOST),
    "segments/*.chunks in index.segment.write_segment": Caught("first", BYTES_LOST),
    "segments/*.live in index.live.write_live": Caught("later", BYTES_LOST),
    "segments/ in engine.commit._write": Caught("later", NOTHING_KEPT),
    "segments/*.faiss in index.merge.merge_segments": Caught("later", BYTES_LOST),
    "segments/*.chunks in index.merge.merge_segments": Caught("later", BYTES_LOST),
    "segments/ in index.merge.merge_segments": Caught("later", NOTHING_KEPT),
    "commits/*.json in index.commit_record.write_record": Caught("first", BYTES_LOST),
    "commits/ in index.commit_record.write_record": Caught("first", NOTHING_KEPT),
    "manifest.json.tmp in index.manifest.publish": Caught("first", BYTES_LOST),
    "docs/ in index.manifest.publish": Caught("later", NOTHING_KEPT),
}

THE_LADDER = "start-up syncs this folder again before anything counts that is in it"
COMES_BACK = "it makes removals last; an orphan that comes back is removed again"
COVERED = {
    "collections/ in engine.worker._lease_for": THE_LADDER,
    "docs/ in index.collection_file.claim_folder": THE_LADDER,
    "data/ in engine.worker._lease_for": THE_LADDER,
    "data/ in engine.recover._prepare_folder": "SQLite syncs it when it makes its log, at every start",
    "segments/ in index.segment.write_segment": "the commit syncs it again, after the files of what is alive",
    "segments/ in engine.recover._remove_orphans": COMES_BACK,
    "commits/ in engine.recover._remove_orphans": COMES_BACK,
    "quarantine/ in engine.recover._remove_orphans": "what is put aside is synced by itself",
    "tidestone.db-journal in sqlite": "it protects what an empty database held: nothing",
}


TABLED = ("first", "later", "wishes", "killed at birth", "killed in a commit")  # the protocol itself


def test_the_tables_name_every_kind_of_sync(recordings: dict[str, Recording]) -> None:
    tabled = [recordings[name] for name in TABLED]
    found = {r.kind_of(event) for r in tabled for event in r.events if event.kind == "sync"}
    assert found == set(CAUGHT) | set(COVERED)
    assert not set(CAUGHT) & set(COVERED)


@pytest.mark.parametrize("kind", CAUGHT)
def test_without_it_a_power_cut_loses_something(
    kind: str, recordings: dict[str, Recording], memory: Path
) -> None:
    caught = CAUGHT[kind]
    recording = recordings[caught.scene]
    assert any(
        fails(recording, disk, promises, caught, memory)
        for disk, promises in told(recording, kind, caught.at)
    )


@pytest.mark.parametrize("kind", COVERED)
def test_without_one_that_another_covers_nothing_is_lost(
    kind: str, recordings: dict[str, Recording], memory: Path
) -> None:
    for recording in (recordings[name] for name in TABLED):
        for disk, promises in told(recording, kind, ""):
            assert not fails(recording, disk, promises, Caught(recording.name, NOTHING_KEPT), memory)


def told(recording: Recording, without: str, at: str) -> Iterator[tuple[Disk, Promises]]:
    """The disk whenever callers are told something (or `at` these words), once a sync of this kind has been left out."""
    missing, before = False, -1
    for _, event, disk, promises in recording.moments({without}):
        missing = missing or (event.kind == "sync" and recording.kind_of(event) == without)
        if missing and (event.site == at if at else promises.moments != before):
            before = promises.moments
            yield disk, promises


def fails(recording: Recording, disk: Disk, promises: Promises, caught: Caught, memory: Path) -> bool:
    """Whether something is wrong with what such a power cut leaves."""
    scene = SCENES[recording.name]
    folder = lay_out(disk.after(caught.loss), recording.root / "library", memory / "disk")
    try:
        scene.promised(folder, promises)
        if caught.by == "end":
            scene.finish(folder)
            scene.check(folder)
    except Exception:
        return True
    finally:
        shutil.rmtree(folder)
    return False
