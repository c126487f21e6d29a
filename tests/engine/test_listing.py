"""What a listing makes of a source that cannot be read to the end, changes meanwhile, or has odd names."""

import os
from pathlib import Path
from typing import Any

import pytest

from service.errors import TryAgain
from tests.engine.world import World
from tests.fake_source import FakeSource

pytestmark = pytest.mark.usefixtures("quick")


class Tree:
    """Twenty documents behind a fake source, so that a few of them may be deleted within the guard."""

    def __init__(self, world: World) -> None:
        self.world = world
        folders = ["", "a", "a/x", "a/xy", "b"]
        self.paths = [f"{folder}/{n}.txt".lstrip("/") for folder in folders for n in range(4)]
        store = world.folder / "store"
        store.mkdir()
        self.source = FakeSource(store, {path: f"document {path}" for path in self.paths})
        world.open_source = lambda _: self.source

    def contents(self) -> set[str]:
        return {key.removeprefix("library/") for key, _, _ in self.world.contents()}

    def run_after(self, removed: list[str], errors: dict[str, str]) -> dict[str, Any]:
        self.world.run()
        assert self.contents() == set(self.paths)
        for path in removed:
            self.source.remove(path)
        self.source.errors = errors
        return self.world.run()


@pytest.fixture
def tree(world: World) -> Tree:
    return Tree(world)


def test_an_unreadable_folder_withholds_deletes_below_it_only(tree: Tree) -> None:
    removed = ["a/1.txt", "a/x/1.txt", "a/xy/1.txt", "b/1.txt"]
    job = tree.run_after(removed, {"a/x": "Permission denied"})
    assert tree.contents() == set(tree.paths) - {"a/1.txt", "a/xy/1.txt", "b/1.txt"}
    assert job["state"] == "completed_with_errors"
    assert job["folders_unreadable"] == {"count": 1, "folders": {"a/x": "Permission denied"}}


def test_an_unreadable_folder_withholds_deletes_of_every_folder_below_it(tree: Tree) -> None:
    whole_folder = [f"a/x/{n}.txt" for n in range(4)]
    tree.run_after([*whole_folder, "b/1.txt"], {"a": "Input/output error"})
    assert tree.contents() == set(tree.paths) - {"b/1.txt"}


def test_a_folder_whose_name_only_begins_like_an_unreadable_one_s_is_not_below_it(tree: Tree) -> None:
    gone = [f"a/xy/{n}.txt" for n in range(4)]
    tree.run_after(gone, {"a/x": "Permission denied"})
    assert tree.contents() == set(tree.paths) - set(gone)


def test_what_an_unreadable_folder_does_show_is_taken_in(tree: Tree) -> None:
    tree.source.errors = {"b": "Input/output error"}
    job = tree.world.run()
    assert (job["state"], job["progress"]["done"]) == ("completed_with_errors", 20)
    assert tree.contents() == set(tree.paths)


def test_a_folder_that_can_be_read_again_is_no_error_any_more(tree: Tree) -> None:
    tree.run_after(["b/1.txt"], {"b": "Permission denied"})
    tree.source.errors = {}
    job = tree.world.run()
    assert (job["state"], job["folders_unreadable"]) == ("succeeded", None)
    assert tree.contents() == set(tree.paths) - {"b/1.txt"}


def test_an_unreadable_root_ends_the_job_and_deletes_nothing(tree: Tree) -> None:
    job = tree.run_after(["b/1.txt"], {"": "Stale file handle"})
    assert (job["state"], job["reason"]["code"]) == ("failed", "refused")
    assert "Stale file handle" in job["reason"]["message"]
    assert tree.contents() == set(tree.paths)


def test_the_documents_of_a_vanished_folder_leave(tree: Tree) -> None:
    gone = [f"a/xy/{n}.txt" for n in range(4)]
    job = tree.run_after(gone, {})
    assert (job["state"], job["progress"]["deleted"]) == ("succeeded", 4)
    assert tree.contents() == set(tree.paths) - set(gone)


def test_a_folder_that_vanishes_during_the_walk_deletes_nothing_yet(tree: Tree) -> None:
    """Its parent has just named it: a mount that went away looks the same."""
    job = tree.run_after([], {"b": "no such folder"})
    assert job["progress"]["deleted"] == 0
    assert tree.contents() == set(tree.paths)


def test_a_source_that_is_empty_all_of_a_sudden_is_held_back_by_the_guard(tree: Tree) -> None:
    job = tree.run_after(tree.paths, {})
    assert (job["state"], job["deletes_withheld"]["count"]) == ("completed_with_errors", 20)
    assert tree.contents() == set(tree.paths)


def test_deletes_off_leaves_everything(tree: Tree) -> None:
    tree.world.run()
    tree.source.remove("b/1.txt")
    job = tree.world.run(deletes="off")
    assert job["deletes_withheld"]["count"] == 1
    assert tree.contents() == set(tree.paths)


@pytest.mark.parametrize(
    "name", [b"caf\xe9.txt", b"two words.txt", "de\u0301.txt".encode(), b"new\nline.txt"]
)
def test_a_file_of_any_name_comes_in_is_known_again_and_goes(world: World, name: bytes) -> None:
    for n in range(6):
        world.write(f"x{n}.txt", f"document number {n}")
    path = Path(os.fsdecode(os.fsencode(world.library) + b"/f\xfflder/" + name))
    path.parent.mkdir()
    path.write_text("a document of an odd name")
    os.utime(path, (1_600_000_000, 1_600_000_000))
    assert world.run()["progress"]["done"] == 7
    (key,) = {row[0] for row in world.contents() if "odd" in row[2]}
    key.encode()
    assert world.run()["progress"]["unchanged"] == 7
    path.unlink()
    path.parent.rmdir()
    assert world.run()["progress"]["deleted"] == 1
    assert world.contents() == world.expected()


def test_a_file_of_an_odd_name_that_vanishes_is_skipped(world: World) -> None:
    world.write("x.txt", "document number one")
    path = Path(os.fsdecode(os.fsencode(world.library) + b"/caf\xe9.txt"))
    path.write_text("a document of an odd name")
    world.preparer.before = lambda _: path.unlink(missing_ok=True)
    job = world.run()
    assert (job["state"], job["progress"]["skipped"]) == ("succeeded", 1)
    (item,) = world.jobs.items(job["id"], "skipped")["items"]
    assert (item["path"], item["reason"]) == ("caf\N{REPLACEMENT CHARACTER}E9.txt", "vanished")


def test_a_file_that_changes_between_listing_and_reading_is_taken_as_it_is_read(world: World) -> None:
    world.write("x.txt", "what the listing saw")
    world.preparer.before = lambda _: world.write("x.txt", "what was read", 1_600_000_500) and None
    job = world.run()
    assert job["state"] == "succeeded"
    assert world.contents() == world.expected() == {("library/x.txt", 0, "what was read")}
    assert world.run()["progress"]["unchanged"] == 1


def test_a_file_that_was_written_a_moment_ago_is_read_again_next_time(world: World) -> None:
    """A second write may leave the same time stamp."""
    (world.library / "x.txt").write_text("document number one")
    world.run()
    (world.library / "x.txt").write_text("document number two")
    world.run()
    assert world.contents() == world.expected()


def test_a_listing_that_is_begun_again_counts_nothing_twice(tree: Tree) -> None:
    """Its worker was held after the walk had put items down."""
    scan, times = tree.source.scan, list[int]()

    def fail_at_first(folder: str, pulse: Any) -> Any:
        if folder == "b" and not times:
            times.append(1)
            raise TryAgain("io_error", "the cable was loose")
        return scan(folder, pulse)

    tree.source.scan = fail_at_first
    tree.world.run()
    with tree.world.ledger.write() as c:
        c.exec_driver_sql("UPDATE jobs SET reason = NULL")
    assert tree.world.worker().take_one()
    job = tree.world.jobs.listing()["jobs"][0]
    assert (job["state"], job["progress"]["discovered"], job["progress"]["done"]) == ("succeeded", 20, 20)
    assert len(tree.world.jobs.items(job["id"])["items"]) == 20


def test_a_job_over_a_folder_of_a_root_looks_at_no_other(world: World) -> None:
    for n in range(6):
        world.write(f"sub/deep/{n}.txt", f"document number {n}")
        world.write(f"subs/{n}.txt", f"another document {n}")
    assert world.run(folder="sub")["progress"]["done"] == 6
    assert {key for key, _, _ in world.contents()} == {f"library/sub/deep/{n}.txt" for n in range(6)}
    job = world.run()
    assert (job["progress"]["done"], job["progress"]["unchanged"]) == (6, 6)
    (world.library / "sub/deep/1.txt").unlink()
    (world.library / "subs/1.txt").unlink()
    job = world.run(folder="sub")
    assert (job["progress"]["deleted"], job["progress"]["unchanged"]) == (1, 5)
    assert {key for key, _, _ in world.contents()} - {key for key, _, _ in world.expected()} == {
        "library/subs/1.txt"
    }
    assert world.run()["progress"]["deleted"] == 1
    assert world.contents() == world.expected()


def test_the_guard_weighs_a_folder_by_itself(world: World) -> None:
    for n in range(5):
        world.write(f"sub/{n}.txt", f"document number {n}")
    for n in range(95):
        world.write(f"other/{n}.txt", f"another document {n}")
    world.run(batch_size=100)
    for path in (world.library / "sub").iterdir():
        path.unlink()
    assert world.run(folder="sub")["deletes_withheld"]["count"] == 5
    (world.library / "sub").rmdir()
    job = world.run(folder="sub")
    assert (job["state"], job["reason"]["code"]) == ("failed", "refused")
    assert len(world.contents()) == 100
