"""Publishing."""

import fcntl
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.errors import Corrupt, TryAgain
from service.index import manifest as manifests
from service.index.files import StoredFile
from service.index.manifest import CheckpointEntry, Manifest, SegmentEntry, publish, read_manifest
from tests.index.making import AT, SPACE, flip

FILE = StoredFile("segments/00000001-t7.faiss", "a" * 64, 100)
MANIFEST = Manifest(
    collection="books", collection_id="id-1", generation=5, space=manifests.describe(SPACE), dimensions=16,
    metric="cosine", segments=[
        SegmentEntry(1, 4, 3, 10, FILE, FILE, None),
        SegmentEntry(5, 5, 5, 9, FILE, FILE, FILE),
    ],
    checkpoints=[CheckpointEntry(5, 5, "commits/00000005-t7.json", "b" * 64, 400, AT)],
    documents=3, vectors=15, last_saved=AT,
)  # fmt: skip


def _at(generation: int) -> Manifest:
    return replace(MANIFEST, generation=generation)


def test_a_manifest_comes_back_as_it_was(tmp_path: Path) -> None:
    assert read_manifest(tmp_path) is None
    assert publish(tmp_path, MANIFEST)
    assert read_manifest(tmp_path) == MANIFEST


def test_it_never_goes_back(tmp_path: Path) -> None:
    assert publish(tmp_path, _at(5))
    assert not publish(tmp_path, _at(4))
    assert publish(tmp_path, _at(6))
    assert read_manifest(tmp_path) == _at(6)


def test_the_same_again_changes_nothing_but_a_correction_does(tmp_path: Path) -> None:
    assert publish(tmp_path, MANIFEST)
    assert not publish(tmp_path, MANIFEST)
    corrected = replace(MANIFEST, documents=4)
    assert publish(tmp_path, corrected)
    assert read_manifest(tmp_path) == corrected


def test_only_the_last_checkpoints_are_listed(tmp_path: Path) -> None:
    entries = [replace(MANIFEST.checkpoints[0], generation=n) for n in range(30)]
    publish(tmp_path, replace(MANIFEST, checkpoints=entries))
    found = read_manifest(tmp_path)
    assert found is not None
    assert [entry.generation for entry in found.checkpoints] == list(range(10, 30))


@settings(deadline=None, max_examples=50)
@given(st.integers(0, 1 << 20))
def test_a_flipped_bit_is_found_and_published_over(
    tmp_path_factory: pytest.TempPathFactory, position: int
) -> None:
    root = tmp_path_factory.mktemp("manifest")
    publish(root, MANIFEST)
    flip(root / "manifest.json", position)
    with pytest.raises(Corrupt):
        read_manifest(root)
    assert publish(root, MANIFEST)
    assert read_manifest(root) == MANIFEST


def test_a_lock_that_another_holds_is_waited_for_within_bounds(tmp_path: Path) -> None:
    publish(tmp_path, _at(1))
    with (tmp_path / "publish.lock").open() as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(TryAgain, match="publish_failing"):
            publish(tmp_path, _at(2), wait_seconds=0.05)
    assert publish(tmp_path, _at(2))


def test_the_file_is_synced_before_it_has_the_name_and_the_folder_after(
    tmp_path: Path, synced: list[str]
) -> None:
    publish(tmp_path, MANIFEST)
    assert synced == [str(tmp_path / "manifest.json.tmp"), str(tmp_path)]
