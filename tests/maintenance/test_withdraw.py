"""What is taken out is out, provably, and stays out whatever the source has, until it is asked for again."""

import json
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from service.core import pace
from service.core.upkeep import Kind
from service.errors import Conflict, NotFound
from service.ledger import collections, documents, versions
from service.maintenance import departures, proof
from service.ports import Float32Vector, Folder
from service.reader import Collection
from service.selftest.fake_embedder import FakeEmbedder
from service.sources.library import Library
from tests.engine.world import World
from tests.running import wait_for

CHANGED = 1_700_000_000


def fill(world: World) -> None:
    for n in range(7):
        world.write(f"{n}.txt", f"document number {n}\n\nits second part {n}")
    lines = [{"id": str(n), "text": f"record {n} says so\n\nand more {n}"} for n in range(5)]
    world.write("log.jsonl", "\n".join(map(json.dumps, lines)))
    world.run()


@pytest.fixture
def filled(world: World) -> World:
    fill(world)
    return world


def withdraw(world: World, key: str) -> dict[str, Any]:
    return world.tend(departures.withdraw(world.orders, "docs", {"key": key}))


def restore(world: World, key: str) -> dict[str, Any]:
    return world.tend(departures.restore(world.orders, "docs", {"key": key}))


def state_of(world: World, key: str) -> str:
    with world.ledger.read() as c:
        row = documents.by_key(c, collections.by_name(c, "docs").id, key)
    assert row is not None
    return str(row.state)


def without(world: World, *keys: str) -> set[tuple[str, int, str]]:
    return {row for row in world.expected() if row[0] not in keys and row[0].partition("#")[0] not in keys}


def test_it_is_out_and_proven_so(filled: World) -> None:
    done = withdraw(filled, "library/3.txt")
    assert done["state"] == "done"
    with filled.ledger.read() as c:
        generation = collections.by_name(c, "docs").published_generation
    assert done["result"] == {"verified": True, "generation": generation, "searched": 2}
    assert filled.contents() == without(filled, "library/3.txt")
    assert filled.verify()["valid"]


def touched(world: World) -> None:
    world.write("3.txt", "document number 3\n\nits second part 3", mtime=CHANGED)


def changed(world: World) -> None:
    world.write("3.txt", "something else now\n\nand more", mtime=CHANGED)


@pytest.mark.parametrize("mode", ["incremental", "fresh"])
@pytest.mark.parametrize("meanwhile", [lambda world: None, touched, changed])
def test_it_stays_out_although_its_file_is_there(
    filled: World, meanwhile: Callable[[World], None], mode: str
) -> None:
    withdraw(filled, "library/3.txt")
    meanwhile(filled)
    job = filled.run(mode=mode)
    assert job["state"] == "succeeded"
    assert job["progress"]["unchanged"] == (1 if mode == "fresh" else 8)
    assert filled.contents() == without(filled, "library/3.txt")
    assert state_of(filled, "library/3.txt") == "withdrawn"


def test_it_stays_out_when_its_file_goes_and_comes_back(filled: World) -> None:
    withdraw(filled, "library/3.txt")
    (filled.library / "3.txt").unlink()
    gone = filled.run()
    assert (gone["state"], gone["progress"]["deleted"]) == ("succeeded", 0)
    changed(filled)
    filled.run()
    assert state_of(filled, "library/3.txt") == "withdrawn"
    assert filled.contents() == without(filled, "library/3.txt")


def test_what_has_vanished_can_be_kept_from_coming_back(filled: World) -> None:
    path = filled.library / "3.txt"
    path.unlink()
    filled.run()
    assert withdraw(filled, "library/3.txt")["result"]["verified"]
    changed(filled)
    filled.run()
    assert filled.contents() == without(filled, "library/3.txt")


def test_asked_twice_it_is_out_once(filled: World) -> None:
    first = withdraw(filled, "library/3.txt")["result"]
    second = withdraw(filled, "library/3.txt")["result"]
    assert second["verified"]
    assert second["generation"] == first["generation"]


def test_restored_it_is_read_again_by_the_next_job(filled: World) -> None:
    withdraw(filled, "library/3.txt")
    changed(filled)
    filled.run()
    assert restore(filled, "library/3.txt")["state"] == "done"
    filled.run()
    assert filled.contents() == filled.expected()
    assert filled.verify()["valid"]


def test_a_file_takes_its_records_with_it_page_by_page(
    filled: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pace, "MOST_CHANGES", 2)
    done = withdraw(filled, "library/log.jsonl")
    assert done["result"]["verified"]
    assert filled.contents() == without(filled, "library/log.jsonl")
    lines = [{"id": str(n), "text": f"record {n} is new\n\nand more {n}"} for n in range(9)]
    filled.write("log.jsonl", "\n".join(map(json.dumps, lines)), mtime=CHANGED)
    filled.run()
    assert filled.contents() == without(filled, "library/log.jsonl")
    restore(filled, "library/log.jsonl")
    filled.run()
    assert filled.contents() == filled.expected()


def test_a_record_alone_stays_out_when_its_file_changes(filled: World) -> None:
    withdraw(filled, "library/log.jsonl#2")
    lines = [{"id": str(n), "text": f"record {n} is new\n\nand more {n}"} for n in range(6)]
    filled.write("log.jsonl", "\n".join(map(json.dumps, lines)), mtime=CHANGED)
    assert filled.run()["state"] == "succeeded"
    assert filled.contents() == without(filled, "library/log.jsonl#2")
    filled.write("log.jsonl", "\n".join(map(json.dumps, lines[:2])), mtime=CHANGED + 1)
    filled.run()
    assert state_of(filled, "library/log.jsonl#2") == "withdrawn"
    filled.write("log.jsonl", "\n".join(map(json.dumps, lines)), mtime=CHANGED + 2)
    restore(filled, "library/log.jsonl#2")
    filled.run()
    assert filled.contents() == filled.expected()


def test_a_record_that_was_withdrawn_alone_does_not_come_back_with_its_file(filled: World) -> None:
    withdraw(filled, "library/log.jsonl#2")
    withdraw(filled, "library/log.jsonl")
    with pytest.raises(Conflict, match="its file is withdrawn"):
        restore(filled, "library/log.jsonl#2")
    restore(filled, "library/log.jsonl")
    filled.run()
    assert filled.contents() == without(filled, "library/log.jsonl#2")


def test_what_is_not_there_or_not_withdrawn_is_refused_at_once(filled: World) -> None:
    with pytest.raises(NotFound):
        withdraw(filled, "library/33.txt")
    with pytest.raises(Conflict, match="is indexed"):
        restore(filled, "library/3.txt")


class Ordering(FakeEmbedder):
    """Orders a withdrawal at the first chunk, and gives no vector before it is done."""

    def __init__(self, world: World, key: str) -> None:
        super().__init__()
        self.world, self.key, self.task = world, key, ""

    def submit(self, text: str) -> Future[Float32Vector]:
        orders = self.world.orders
        self.task = self.task or departures.withdraw(orders, "docs", {"key": self.key})["id"]
        done = orders.get(self.task)["state"] == "done"
        return super().submit(text) if done else Future()


@pytest.mark.parametrize(
    "key", ["library/3.txt", "library/6.txt", "library/log.jsonl", "library/log.jsonl#2"]
)
def test_beside_a_job_that_is_just_doing_it_again(filled: World, key: str) -> None:
    """The job has it in hand or pending: its item is settled as skipped, and nothing of it comes in."""
    for path in filled.library.iterdir():
        world_text = path.read_text().replace("says so", "is new").replace("number", "numbered anew")
        filled.write(path.name, world_text, mtime=CHANGED)
    filled.embedder = late = Ordering(filled, key)
    job = filled.run()
    assert job["state"] == "succeeded"
    assert filled.orders.get(late.task)["result"]["verified"]
    assert filled.contents() == without(filled, key)
    skipped = filled.jobs.items(job["id"], "skipped")["items"]
    assert [item["reason"] for item in skipped] == ([] if "#" in key else ["withdrawn"])
    assert job["progress"]["settled"] == job["progress"]["total"]
    assert filled.verify()["valid"]


def test_an_unfinished_version_goes_too(world: World) -> None:
    """A job was paused in the middle of a large document."""
    world.configure(segment_rows=50)
    world.write("a.txt", "\n\n".join(f"paragraph {n}" for n in range(600)))

    class Pausing(FakeEmbedder):
        def submit(self, text: str) -> Future[Float32Vector]:
            if len(self.texts) == 400:
                world.stop.set()
            return super().submit(text)

    world.embedder = Pausing()
    job = world.run()
    assert job["state"] == "interrupted"
    world.stop.clear()
    with world.ledger.read() as c:
        assert versions.unfinished(c, collections.by_name(c, "docs").id)
    done = withdraw(world, "library/a.txt")
    assert done["result"]["verified"]
    assert done["result"]["searched"] > 0
    assert [item["reason"] for item in world.jobs.items(job["id"], "skipped")["items"]] == ["withdrawn"]
    assert world.resume(job["id"])["state"] == "succeeded"
    assert world.contents() == set()
    with world.ledger.read() as c:
        assert not versions.unfinished(c, collections.by_name(c, "docs").id)
    assert world.verify()["valid"]


def test_while_a_listing_has_found_it_and_not_said_so_yet(world: World) -> None:
    """The item comes into the ledger after the withdrawal: whoever claims it sees that it is not wanted."""
    for name in ("first.txt", "a/1.txt", "b/2.txt"):
        world.write(name, f"a document, {name}")
    world.run()
    world.write("a/1.txt", "a document that says something else", mtime=CHANGED)

    class Ordered:
        def __init__(self) -> None:
            self.library, self.task = Library(world.library), ""
            self.locate = self.library.locate

        def scan(self, folder: str, pulse: Callable[[], None]) -> Iterator[Folder]:
            if folder == "b" and not self.task:
                self.task = departures.withdraw(world.orders, "docs", {"key": "library/a/1.txt"})["id"]
                wait_for(lambda: pulse() or world.orders.get(self.task)["state"] == "done")
            return self.library.scan(folder, pulse)

    source = Ordered()
    world.open_source = lambda _: source
    job = world.run()
    assert (job["state"], job["progress"]["settled"]) == ("succeeded", 3)
    assert [item["reason"] for item in world.jobs.items(job["id"], "skipped")["items"]] == ["withdrawn"]
    assert world.contents() == without(world, "library/a/1.txt")


def test_what_a_reader_still_finds_is_not_called_verified(
    filled: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = filled.files
    row = next(row for row in Collection.open(folder).rows() if row.key == "library/3.txt")
    assert not proof.is_out(folder, "library/3.txt", 1, [])
    monkeypatch.setattr(proof, "_has", lambda snapshot, key: False)
    assert not proof.is_out(folder, "library/3.txt", 1, [np.array(row.vector)])
    assert proof.is_out(folder, "library/nothing.txt", 1, [np.array(row.vector)])
    assert not proof.is_out(folder, "library/nothing.txt", 10_000, [])
    Path(folder / "manifest.json").unlink()
    assert not proof.is_out(folder, "library/nothing.txt", 1, [])


def test_a_withdrawal_that_died_between_two_pages_is_gone_on_with(
    filled: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pace, "MOST_CHANGES", 2)
    task = departures.withdraw(filled.orders, "docs", {"key": "library/log.jsonl"})
    worker = filled.worker()
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("service.maintenance.withdraw.publish_for_certain", lambda work: 1 / 0)
        worker.tools.chores.serve_idle("worker-1", filled.stop)
    assert filled.orders.get(task["id"])["state"] == "queued"
    with filled.ledger.write() as c:
        c.exec_driver_sql("UPDATE tasks SET not_before = NULL")
    done = filled.tend(task)
    assert done["result"]["verified"]
    assert done["result"]["searched"] > 0
    assert filled.contents() == without(filled, "library/log.jsonl")


def test_these_errands_are_done_beside_a_job() -> None:
    from service.core.upkeep import BESIDE_A_JOB

    assert {Kind.WITHDRAW, Kind.RESTORE_DOCUMENT} <= BESIDE_A_JOB
