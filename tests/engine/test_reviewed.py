"""What a hostile review has found in the keeping of documents: each was lost, kept or done wrongly once."""

import errno
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from service.core import pace
from service.engine.roots import resolve
from service.errors import BadRequest
from service.index import files
from service.index.commit_record import read_chain
from service.ports import FileRead, FileTask, Left, Piece
from service.reader import Collection
from service.selftest.fake_preparer import FakePreparer
from service.sources.library import Library
from service.sources.wanted import Wanted
from tests.engine.holding import newest
from tests.engine.world import OLD, World

pytestmark = pytest.mark.usefixtures("quick")

MOST_CHANGES = 10


class TitlingPreparer(FakePreparer):
    """Says `title` of every document, whatever its text."""

    title = "old"

    def prepare(self, task: FileTask) -> Iterator[Piece | Left | FileRead]:
        for said in super().prepare(task):
            if isinstance(said, Piece):
                said = replace(said, title=self.title, metadata={**said.metadata, "tag": self.title})
            yield said


def ten_documents(world: World) -> None:
    for n in range(10):
        world.write(f"x{n}.txt", f"document number {n}")


def records(world: World, count: int, text: str = "record number", mtime: int = OLD, end: str = "") -> None:
    lines = (json.dumps({"id": f"r{n}", "text": f"{text} {n}"}) for n in range(count))
    world.write("records.jsonl", "\n".join(lines) + end, mtime)


def keys(world: World) -> set[str]:
    return {key for key, _, _ in world.contents()}


def confirmed(world: World, withheld: dict[str, Any]) -> dict[str, Any]:
    return world.run(deletes="confirmed", deletes_digest=withheld["deletes_withheld"]["digest"])


def test_the_delete_guard_weighs_a_file_of_records_by_its_records(world: World) -> None:
    ten_documents(world)
    records(world, 20)
    world.run()
    before = world.contents()
    (world.library / "records.jsonl").unlink()
    job = world.run()
    assert (job["state"], job["deletes_withheld"]["count"]) == ("completed_with_errors", 20)
    assert world.contents() == before
    assert confirmed(world, job)["state"] == "succeeded"
    assert world.contents() == world.expected()


def test_a_root_that_loses_all_its_files_of_records_loses_no_record(world: World) -> None:
    records(world, 20)
    world.run()
    (world.library / "records.jsonl").unlink()
    assert world.run()["deletes_withheld"]["count"] == 20
    assert len(world.contents()) == 20


def test_a_file_that_is_excluded_from_now_on_leaves(world: World) -> None:
    ten_documents(world)
    world.run()
    world.open_source = lambda job: Library(Path(job.path), Wanted((), ("x3.txt",)))
    job = world.run()
    assert (job["state"], job["progress"]["deleted"]) == ("succeeded", 1)
    assert keys(world) == {f"library/x{n}.txt" for n in range(10) if n != 3}


def test_a_file_that_a_folder_of_its_name_replaces_leaves(world: World) -> None:
    ten_documents(world)
    world.run()
    (world.library / "x3.txt").unlink()
    world.write("x3.txt/inner.txt", "a document in the folder")
    assert world.run()["state"] == "succeeded"
    assert "library/x3.txt" not in keys(world)
    assert "library/x3.txt/inner.txt" in keys(world)


def test_a_new_title_is_taken_over_without_embedding_the_same_text_again(world: World) -> None:
    preparer = world.preparer = TitlingPreparer()
    records(world, 3)
    world.run()
    world.embedder.texts.clear()
    preparer.title = "new"
    records(world, 3, mtime=OLD + 100, end="\n")  # other bytes, the same texts
    job = world.run()
    assert (world.embedder.texts, job["progress"]["chunks_reused"]) == ([], 3)
    document = Collection.open(world.files).document("library/records.jsonl#r1")
    assert document is not None
    assert (document.title, document.metadata["tag"]) == ("new", "new")
    assert world.contents() == world.expected()


def test_fresh_embeds_every_text_again(world: World) -> None:
    world.write("x.txt", "one part\n\nanother part")
    world.run()
    world.embedder.texts.clear()
    job = world.run(mode="fresh")
    assert sorted(world.embedder.texts) == ["another part", "one part"]
    assert job["progress"]["chunks_reused"] == 0


def test_records_that_are_left_out_never_make_one_commit_long(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pace, "MOST_CHANGES", MOST_CHANGES)
    records(world, 5 * MOST_CHANGES, "BAD record")
    assert world.run()["state"] == "completed_with_errors"
    commits = [record.documents for record in read_chain(world.files).records]
    assert len({said["key"] for commit in commits for said in commit if said["record"]}) == 5 * MOST_CHANGES
    assert max(map(len, commits)) <= MOST_CHANGES + 1, "the file itself may come on top"


def test_a_vanished_file_of_many_records_leaves_in_short_commits(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pace, "MOST_CHANGES", MOST_CHANGES)
    records(world, 5 * MOST_CHANGES)
    world.run()
    (world.library / "records.jsonl").unlink()
    job = confirmed(world, world.run())
    assert (job["state"], job["progress"]["deleted"]) == ("succeeded", 5 * MOST_CHANGES)
    sizes = [len(record.versions_retired) for record in read_chain(world.files).records]
    assert (sum(sizes), max(sizes)) == (5 * MOST_CHANGES, MOST_CHANGES)
    assert world.contents() == set()
    assert world.verify()["valid"], world.verify()


def test_a_segment_that_the_disk_cannot_read_is_damaged_and_made_again(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    ten_documents(world)
    world.run()
    victim, real = min(world.files.glob("segments/*.faiss")), files.hash_file

    def unreadable(path: Path) -> tuple[str, int]:
        if path == victim:
            raise OSError(errno.EIO, "Input/output error", str(path))
        return real(path)

    monkeypatch.setattr(files, "hash_file", unreadable)
    world.write("new.txt", "a new document is here")
    world.jobs.create(world.order())
    while world.worker().take_one():
        assert newest(world)["state"] != "failed", newest(world)["reason"]
    assert newest(world)["state"] == "succeeded", newest(world)["reason"]
    assert not victim.exists()
    assert world.contents() == world.expected()


def test_a_slash_cannot_be_part_of_a_root_s_name(tmp_path: Path) -> None:
    """The keys below `docs/sub` could be those of the folder `sub` below `docs`."""
    for root in ("docs/sub", "docs/", "/docs"):
        with pytest.raises(BadRequest):
            resolve({}, root, tmp_path)
