"""A ledger that is made anew a second time, on a nearly full disk, or from folders that are hardly collections."""

import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from threading import Event

import pytest

from service import failpoints
from service.core.keys import file_key, root_of
from service.core.upkeep import Kind
from service.errors import Refused, TryAgain
from service.ledger import collections
from service.maintenance.rebuild import rebuild
from tests.engine.holding import Died
from tests.engine.world import World
from tests.faults.disks import small_disk


def lose(world: World) -> Path:
    world.ledger.close()
    for path in world.settings.data_dir.glob("tidestone.db*"):
        path.unlink()
    return world.settings.data_dir


@pytest.fixture
def rebuilt(world: World) -> Callable[[World], World]:
    """Lose a world's ledger, and make it anew."""

    def again(before: World) -> World:
        rebuild(lose(before))
        return World(world.folder)

    return again


def owners(world: World) -> dict[str, str]:
    """Key -> root of the source that the document belongs to."""
    with world.ledger.read() as c:
        query = "SELECT key, root FROM documents JOIN sources ON sources.id = documents.source_id"
        return {row.key: row.root for row in c.exec_driver_sql(query)}


def test_a_second_rebuild_finds_the_sources_of_the_first(
    world: World, rebuilt: Callable[[World], World]
) -> None:
    """Every ledger numbers them anew, and the records keep the numbers of all of them."""
    for n in range(8):
        world.write(f"{n}.txt", f"document number {n} says this")
    world.run(collection="later-in-the-alphabet")
    world.run()
    for n in (8, 9):
        world = rebuilt(world)
        world.write(f"{n}.txt", f"document number {n} says this")
        assert world.run()["state"] == "succeeded"
        assert world.contents() == world.expected()
        assert set(owners(world).values()) == {"library"}
    (world.library / "9.txt").unlink()
    assert world.run()["progress"]["deleted"] == 1
    assert world.contents() == world.expected()
    world.ledger.close()


def test_every_document_has_the_source_that_its_key_names(
    world: World, rebuilt: Callable[[World], World]
) -> None:
    """Numbers that two ledgers gave to different sources must not be mixed up."""
    world.write("1.txt", "document number 1 says this")
    first = world.jobs.create(world.order())
    world.jobs.ask(first["id"], "pause")
    notes = {"path": world.library.resolve(), "root": "C#"}
    world.run(**notes)  # the source that was made second commits first
    world.jobs.ask(first["id"], "resume")
    assert world.worker().take_one()
    world = rebuilt(world)
    world.write("2.txt", "document number 2 says this")
    world.run(**notes)
    world = rebuilt(world)
    assert owners(world) == {"library/1.txt": "library", "C%23/1.txt": "C#", "C%23/2.txt": "C#"}
    world.ledger.close()


@pytest.mark.parametrize("root", ["library", "C#", "100%", "%23", "a%25#%2#"])
def test_a_key_begins_with_its_root(root: str) -> None:
    assert root_of(file_key(root, "a/b", "c#d%23.txt")) == root
    assert root_of(file_key(root, "", "c.jsonl") + "#r/1") == root


def test_a_ledger_that_does_not_fit_is_not_put_into_place(tmp_path: Path) -> None:
    """SQLite keeps silent when what is in its log does not fit into the file that it closes."""
    world = World(tmp_path)
    world.configure(batch_size=100)
    for n in range(150):
        world.write(f"{n}.txt", f"document number {n} says this")
    world.run()
    shutil.copytree(lose(world), tmp_path / "probe")
    rebuild(tmp_path / "probe")
    size = (tmp_path / "probe/tidestone.db").stat().st_size
    refused = list[str]()
    with small_disk(tmp_path / "small", 16 << 20) as disk:
        data = disk.path / "data"
        shutil.copytree(world.settings.data_dir, data)
        for percent in range(130, 330, 40):
            disk.leave(size * percent // 100)
            try:
                rebuild(data)
                break
            except TryAgain as error:
                refused.append(error.reason)
            assert [path.name for path in data.iterdir()] == ["collections"], "nothing is left behind"
        assert refused
        assert set(refused) == {"disk_low"}
        with closing(sqlite3.connect(data / "tidestone.db")) as ledger:
            assert ledger.execute("PRAGMA quick_check").fetchone() == ("ok",)
            assert ledger.execute("SELECT count(*) FROM documents").fetchone() == (150,)


class DiesAt:
    """Armed: dies at the n-th passing of a point."""

    def __init__(self, point: str, left: int = 1) -> None:
        self.point, self.left = point, left

    def reach(self, point: str) -> None:
        self.left -= point == self.point
        if self.left == 0:
            raise Died


@pytest.mark.parametrize("record", ["none", "torn"])
def test_a_collection_that_had_no_commit_yet_begins_again(world: World, record: str) -> None:
    """Its job made the folder, and was killed before or at its first commit."""
    world.write("1.txt", "document number 1 says this")
    world.run(collection="other")
    world.jobs.create(world.order())
    failpoints._armed = DiesAt("reserve.after")  # type: ignore[assignment]
    try:
        with pytest.raises(Died):
            world.worker().take_one()
    finally:
        failpoints.arm("")
    if record == "torn":
        (world.files / "commits/00000001-t1.json").write_bytes(b'{"at":')
    data = lose(world)
    deaths = 1
    while True:  # and the rebuild is killed at each of its moves
        failpoints._armed = DiesAt("aside.after", deaths)  # type: ignore[assignment]
        try:
            rebuild(data)
            break
        except Died:
            deaths += 1
        finally:
            failpoints.arm("")
    assert deaths > 1
    new = World(world.folder)
    job = new.run()
    assert job["state"] == "succeeded", job["reason"]
    assert new.contents() == new.expected()
    assert new.verify()["valid"], new.verify()
    new.ledger.close()


def test_a_copy_of_a_collection_beside_it_is_named(world: World) -> None:
    world.write("1.txt", "document number 1 says this")
    world.run()
    data = lose(world)
    shutil.copytree(world.files, data / "collections/docs-old")
    for adopt in (False, True):
        with pytest.raises(Refused, match="docs-old and docs are the same collection"):
            rebuild(data, adopt)
    shutil.rmtree(data / "collections/docs-old")
    assert set(rebuild(data)["collections"]) == {"docs"}


def test_a_start_up_that_is_killed_leaves_no_record_without_its_files(world: World) -> None:
    """A merge was killed before it counted, then the clean-up after it; then the ledger is lost. What is made anew must
    not believe in a merge whose files are half gone, and put its inputs aside."""
    world.configure(batch_size=3, merged_rows=24)
    for n in range(12):
        world.write(f"{n:02}.txt", f"document {n} says this\n\nand its second part {n}")
    world.run()
    with world.ledger.read() as c:
        row = collections.by_name(c, "docs")
    assert world.merger.merge_one(row, Event())
    for point in ("ledger.before", "orphan.removed"):
        failpoints._armed = DiesAt(point)  # type: ignore[assignment]
        try:
            with pytest.raises(Died):
                world.keeper(dead_seconds=0.0).serve_idle("keeper", world.stop)
        finally:
            failpoints.arm("")
    rebuild(lose(world))
    new = World(world.folder)
    new.configure(merged_rows=24)
    assert new.tend(new.orders.place("docs", Kind.REPAIR))["state"] == "done"
    assert new.contents() == new.expected()
    assert new.verify()["valid"], new.verify()
    new.ledger.close()
