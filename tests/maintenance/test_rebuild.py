"""A lost ledger is made anew from the commit chain: the same documents, the same rows, and nothing is embedded again."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from threading import Event
from typing import Any

import pytest

from service import failpoints
from service.core.upkeep import Kind
from service.engine.lease import Lease, Observer, Wanted
from service.errors import Conflict, Refused
from service.index.commit_record import read_chain
from service.ledger import collections
from service.maintenance.departures import withdraw
from service.maintenance.generations import Turn
from service.maintenance.rebuild import rebuild
from service.reader import Collection
from service.selftest.lagging_embedder import LaggingEmbedder
from tests.engine.holding import Died
from tests.engine.world import World

# Of a document's row: what a job, a person or a search goes by. `generation` says in which commit it was first known.
COLUMNS = [
    "doc_id",
    "key",
    "folder",
    "name",
    "record",
    "state",
    "reason",
    "stamp",
    "file_sha256",
    "content_sha256",
    "recipe",
    "title",
    "described_sha256",
    "version_id",
    "chunks",
    "bytes",
]


def fill(world: World) -> None:
    """Everything that a commit can say of documents, and every kind of commit that changes files."""
    world.configure(batch_size=3, merged_rows=24)
    for n in range(12):
        world.write(f"{n:02}.txt", f"document {n} says this\n\nand its second part {n}")
    world.write("short.txt", "short")
    world.write("bad.txt", "DAMAGED goods")
    records = [json.dumps({"id": f"r{n}", "text": f"record number {n} of a file"}) for n in range(5)]
    world.write("records.jsonl", "\n".join(records))
    world.run()


def change(world: World) -> None:
    world.write("01.txt", "document 1 has changed\n\nand its second part 1", mtime=1_700_000_000)
    (world.library / "02.txt").unlink(missing_ok=True)
    if (world.library / "03.txt").exists():
        (world.library / "03.txt").rename(world.library / "moved.txt")
    world.write(
        "records.jsonl", json.dumps({"id": "r1", "text": "record number 1 has changed"}), 1_700_000_000
    )
    world.run()


def compact(world: World) -> None:
    with world.ledger.read() as c:
        row = collections.by_name(c, "docs")
    while (task := world.merger.merge_one(row, Event())) is not None:
        world.tend(world.orders.get(task.id))


def take_out(world: World) -> None:
    world.tend(withdraw(world.orders, "docs", {"key": "library/05.txt"}))


def turn_back(world: World) -> None:
    with world.ledger.read() as c:
        generation = collections.by_name(c, "docs").generation
    change(world)
    options = Turn(generation=generation).options
    assert world.tend(world.orders.place("docs", Kind.ROLLBACK, options))["state"] == "done"


def purge(world: World) -> None:
    world.tend(world.orders.place("docs", Kind.WITHDRAW, {"key": "library/06.txt"}))
    world.tend(world.orders.place("docs", Kind.PURGE, {"key": "library/06.txt"}))


STORIES: dict[str, list[Callable[[World], None]]] = {
    "one job": [fill],
    "changes": [fill, change],
    "a large merge": [fill, change, compact],
    "taken out": [fill, take_out, change],
    "rolled back": [fill, turn_back],
    "purged": [fill, change, purge],
    "all": [fill, take_out, turn_back, compact, change, purge],
}


def known(world: World) -> list[dict[str, Any]]:
    names = ", ".join(COLUMNS)
    with world.ledger.read() as c:
        rows = c.exec_driver_sql(f"SELECT {names} FROM documents ORDER BY doc_id").mappings()
        return [dict(row) for row in rows]


def vectors(world: World) -> dict[tuple[str, int, str], list[float]]:
    rows = Collection.open(world.files).rows()
    return {(row.key, row.ordinal, row.text): row.vector.tolist() for row in rows}


def lose(world: World) -> Path:
    """The ledger is gone, its log too."""
    world.ledger.close()
    data = world.settings.data_dir
    for path in data.glob("tidestone.db*"):
        path.unlink()
    return data


def again(world: World) -> World:
    """The same folder under the new ledger, after the start-up ladder."""
    new = World(world.folder)
    new.configure(batch_size=3, merged_rows=24)
    done = new.tend(new.orders.place("docs", Kind.REPAIR))
    assert done["state"] == "done", done
    return new


@pytest.mark.parametrize("story", STORIES)
def test_what_the_ledger_knew_is_known_again(world: World, story: str) -> None:
    for part in STORIES[story]:
        part(world)
    documents, rows = known(world), vectors(world)
    told = rebuild(lose(world))
    new = again(world)
    try:
        assert known(new) == documents
        assert vectors(new) == rows
        assert told["collections"]["docs"]["documents"] == len({key for key, *_ in rows})
        assert new.verify()["valid"], new.verify()
        job = new.run()
        assert job["state"] in ("succeeded", "completed_with_errors")
        if turn_back not in STORIES[story]:  # after which the library's files are newer than the collection
            assert new.embedder.texts == [], "nothing is embedded again"
            assert vectors(new) == rows
        new.write("new.txt", "written after the rebuild")
        new.run()
        assert ("library/new.txt", 0, "written after the rebuild") in new.contents()
        assert new.verify()["valid"], new.verify()
    finally:
        new.ledger.close()


def test_a_document_in_the_making_begins_again(world: World) -> None:
    """Its rows are dead, its version abandoned; the next job reads it from its beginning."""
    world.configure(batch_size=3, segment_rows=4)
    world.embedder = LaggingEmbedder()
    world.write("large.txt", "\n\n".join(f"paragraph {n} of a large document" for n in range(30)))
    world.jobs.create(world.order())
    failpoints._armed = DiesAt("ledger.after", 1)  # type: ignore[assignment]
    try:
        with pytest.raises(Died):
            world.worker().take_one()
    finally:
        failpoints.arm("")
    rebuild(lose(world))
    new = again(world)
    try:
        assert new.contents() == set()
        assert new.run()["state"] == "succeeded"
        assert new.contents() == new.expected()
        assert new.verify()["valid"], new.verify()
    finally:
        new.ledger.close()


class DiesAt:
    """Armed: dies at the n-th passing of a point."""

    def __init__(self, point: str, left: int) -> None:
        self.point, self.left = point, left

    def reach(self, point: str) -> None:
        self.left -= point == self.point
        if self.left == 0:
            raise Died


@pytest.mark.parametrize("point", failpoints.OF_REBUILDS)
def test_killed_anywhere_it_is_done_by_the_same_command(world: World, point: str) -> None:
    fill(world)
    rows, data = vectors(world), lose(world)
    (data / "tidestone.db").write_bytes(b"no database at all" * 500)
    failpoints._armed = DiesAt(point, 1)  # type: ignore[assignment]
    try:
        with pytest.raises(Died):
            rebuild(data)
    finally:
        failpoints.arm("")
    if point != "rebuild.placed":  # then it is done
        rebuild(data)
    new = again(world)
    try:
        assert vectors(new) == rows
        assert [path.name for path in data.glob(".rebuild-*")] == []
        assert len(list(data.glob("tidestone.db.damaged*"))) == 1, "the damaged one is kept"
    finally:
        new.ledger.close()


def test_the_logs_of_ledgers_that_were_lost_are_all_kept(world: World) -> None:
    fill(world)
    data = lose(world)
    for log in (b"one log", b"another log"):
        (data / "tidestone.db").unlink(missing_ok=True)
        (data / "tidestone.db-wal").write_bytes(log)
        rebuild(data)
    kept = sorted(path.read_bytes() for path in data.glob("tidestone.db.lost*-wal"))
    assert kept == [b"another log", b"one log"]


def test_a_sound_ledger_is_never_replaced(world: World) -> None:
    fill(world)
    before = known(world)
    with pytest.raises(Refused, match="is sound"):
        rebuild(world.settings.data_dir)
    assert known(world) == before


def test_nobody_may_be_at_work(world: World) -> None:
    fill(world)
    with world.ledger.read() as c:
        wanted = Wanted(collections.by_name(c, "docs").id)
    held = Lease.take(world.ledger, Observer(), wanted, world.files, "somebody")
    assert held is not None
    data = world.settings.data_dir
    moved = data / "tidestone.moved"
    (data / "tidestone.db").rename(moved)
    (data / ".rebuild-of-another").mkdir()
    try:
        with pytest.raises(Conflict, match="stop every Tidestone"):
            rebuild(data)
        assert (data / ".rebuild-of-another").exists(), "it may be at work in there"
    finally:
        moved.rename(data / "tidestone.db")
        held.release()


def test_a_hole_in_the_chain_is_refused_and_nothing_is_written(world: World) -> None:
    fill(world)
    data = lose(world)
    sorted((world.files / "commits").glob("*"))[1].unlink()
    with pytest.raises(Refused, match="commit record"):
        rebuild(data)
    assert not (data / "tidestone.db").exists()


def test_records_that_end_before_what_was_published_are_refused(world: World) -> None:
    fill(world)
    data = lose(world)
    sorted((world.files / "commits").glob("*"))[-1].unlink()
    with pytest.raises(Refused, match="was published at generation"):
        rebuild(data)


def test_without_manifest_and_collection_json_the_records_are_enough(world: World) -> None:
    fill(world)
    rows, data = vectors(world), lose(world)
    (world.files / "manifest.json").unlink()
    (world.files / "collection.json").unlink()
    rebuild(data)
    new = again(world)
    try:
        assert vectors(new) == rows
    finally:
        new.ledger.close()


def test_folders_of_two_ledgers_are_refused_unless_they_are_to_be_adopted(
    world: World, tmp_path: Path
) -> None:
    fill(world)
    (tmp_path / "other").mkdir()
    other = World(tmp_path / "other")
    other.write("x.txt", "a document of another ledger")
    other.run(collection="others")
    other.ledger.close()
    data = lose(world)
    shutil.copytree(other.settings.folder("others"), data / "collections/others")
    with pytest.raises(Refused, match="different ledgers"):
        rebuild(data)
    told = rebuild(data, adopt=True)
    assert set(told["collections"]) == {"docs", "others"}
    new = again(world)
    try:
        done = new.tend(new.orders.place("others", Kind.REPAIR))
        assert done["state"] == "done", done
        assert [row.text for row in Collection.open(new.settings.folder("others")).rows()] == [
            "a document of another ledger"
        ]
    finally:
        new.ledger.close()


def test_the_first_record_says_which_space_the_vectors_are_in(world: World) -> None:
    fill(world)
    records = read_chain(world.files).records
    assert records[0].space is not None
    assert records[0].space["model"] == world.embedder.space.model
    assert all(record.space is None for record in records[1:])
