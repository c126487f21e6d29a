"""Large merges: made without the lease, taken in under it as the collection is then, or thrown away."""

import os
import signal
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from threading import Event
from typing import Any

import pytest

from service.core.upkeep import Kind
from service.index import merge_child, scratch
from service.index.chunkfile import ChunkFile
from service.index.files import hash_file
from service.index.live import decode_live, encode_live
from service.index.manifest import read_manifest
from service.ledger import collections
from service.maintenance import merger
from service.maintenance.merger import in_child
from service.reader import Collection
from service.selftest.world import World
from tests.index.making import flip


def fill(world: World, first: int = 0, count: int = 12) -> None:
    for n in range(first, first + count):
        world.write(f"{n:02}.txt", f"document {n} says this\n\nand its second part {n}")
    world.run()


@pytest.fixture
def filled(world: World) -> World:
    """Four segments of six rows each; a merge of 18 rows is large."""
    world.configure(batch_size=3, merged_rows=24)
    fill(world)
    return world


def row_of(world: World) -> Any:
    with world.ledger.read() as c:
        return collections.by_name(c, "docs")


def made(world: World) -> dict[str, Any]:
    """A merge that waits for its taking in."""
    task = world.merger.merge_one(row_of(world), Event())
    assert task is not None
    return world.orders.get(task.id)


def vectors(world: World) -> dict[tuple[str, int], list[float]]:
    return {(row.key, row.ordinal): row.vector.tolist() for row in Collection.open(world.files).rows()}


def left_over(world: World) -> list[str]:
    return [path.name for path in (world.files / scratch.FOLDER).iterdir() if path.suffix != ".lock"]


def live_segments(world: World) -> int:
    return len(list(Collection.open(world.files).snapshot().segments))


def test_a_large_merge_changes_nothing_but_the_number_of_segments(filled: World) -> None:
    before, contents = vectors(filled), filled.contents()
    assert live_segments(filled) == 4
    done = filled.tend(made(filled))
    assert (done["state"], done["result"]["taken"], done["result"]["segments"]) == ("done", True, 4)
    assert live_segments(filled) == 1
    assert (vectors(filled), filled.contents()) == (before, contents)
    assert filled.verify()["valid"]
    assert left_over(filled) == []
    assert filled.merger.merge_one(row_of(filled), Event()) is None, "there is nothing more to merge"


def test_while_one_waits_to_be_taken_in_no_other_is_made(filled: World) -> None:
    made(filled)
    assert filled.merger.merge_one(row_of(filled), Event()) is None


def test_only_one_process_merges_a_collection(filled: World) -> None:
    with scratch.only_merger(filled.files) as alone:
        assert alone
        assert filled.merger.merge_one(row_of(filled), Event()) is None


def changed(world: World) -> None:
    world.write("01.txt", "document 1 says something else\n\nand its second part 1", mtime=1_700_000_000)
    world.run()


def deleted(world: World) -> None:
    (world.library / "02.txt").unlink()
    world.run()


def added(world: World) -> None:
    fill(world, 50, 3)


@pytest.mark.parametrize("meanwhile", [changed, deleted, added])
def test_what_is_committed_between_its_making_and_its_taking_in_stays_true(
    filled: World, meanwhile: Callable[[World], None]
) -> None:
    task = made(filled)
    # The job's own worker would take it in first: hide it until the job has ended.
    duties, filled.duties = filled.duties, {}
    meanwhile(filled)
    filled.duties = duties
    before = vectors(filled)
    done = filled.tend(task)
    assert done["result"]["taken"]
    assert vectors(filled) == before
    assert filled.contents() == filled.expected()
    assert filled.verify()["valid"]


def test_it_is_thrown_away_when_an_input_has_left(filled: World) -> None:
    task = made(filled)
    duties, filled.duties = filled.duties, {}
    first = sorted((filled.files / "segments").glob("*.chunks"))[0]
    with ChunkFile(first) as chunks:
        gone = [Path(version.key).name for version in chunks.versions()]
    for name in gone:
        (filled.library / name).unlink()
    withheld = filled.run()["deletes_withheld"]
    filled.run(deletes="confirmed", deletes_digest=withheld["digest"])
    filled.duties = duties
    before = vectors(filled)
    done = filled.tend(task)
    assert (done["state"], done["result"]["taken"]) == ("done", False)
    assert vectors(filled) == before
    assert left_over(filled) == []
    assert filled.verify()["valid"]


def test_beside_a_job_it_is_taken_in_between_two_commits(filled: World) -> None:
    task = made(filled)
    fill(filled, 20, 12)
    assert filled.orders.get(task["id"])["result"]["taken"]
    assert filled.contents() == filled.expected()
    assert filled.verify()["valid"]


def test_a_damaged_input_is_found_and_repaired_instead_of_merged(filled: World) -> None:
    victim = sorted((filled.files / "segments").glob("*.faiss"))[1]
    data = bytearray(victim.read_bytes())
    data[-1] ^= 1
    victim.write_bytes(data)
    assert filled.merger.merge_one(row_of(filled), Event()) is None
    assert left_over(filled) == []
    repaired = filled.tend(filled.orders.place("docs", Kind.REPAIR))
    assert [Path(name).name for name in repaired["result"]["segments_taken_out"]] == [victim.name]


def test_a_merge_that_fails_is_not_made_again_and_again(filled: World) -> None:
    """It has read, and perhaps written, hundreds of megabytes by then: it runs out of memory, or meets damage."""
    orders = list[object]()
    never = replace(filled.merger, make=lambda order, _: orders.append(order))
    assert [never.look(Event()) for _ in range(3)] == [False] * 3
    assert len(orders) == 1
    never._not_before.clear()  # as when the time is over
    never.look(Event())
    assert len(orders) == 2


def test_what_a_merger_has_left_behind_is_cleared_by_the_next(filled: World) -> None:
    with scratch.only_merger(filled.files):
        (filled.files / scratch.FOLDER / "dead.faiss").write_bytes(b"half")
    assert filled.tend(made(filled))["result"]["taken"]
    assert left_over(filled) == []


@pytest.fixture
def children(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """The process ids of the merging children."""
    pids: list[int] = []
    spawn = merger.spawn

    def noted(module: str) -> Any:
        child = spawn(module)
        pids.append(child.process.pid)
        return child

    monkeypatch.setattr(merger, "spawn", noted)
    yield pids
    assert not any(Path(f"/proc/{pid}").exists() for pid in pids)


def test_a_child_makes_the_same_files(filled: World, children: list[int]) -> None:
    own = filled.merger
    own.make = in_child
    task = own.merge_one(row_of(filled), Event())
    assert task is not None
    assert len(children) == 1
    before = vectors(filled)
    assert filled.tend(filled.orders.get(task.id))["result"]["taken"]
    assert vectors(filled) == before


def test_a_child_that_is_told_to_stop_leaves_nothing(filled: World, children: list[int]) -> None:
    stopped = Event()
    stopped.set()
    own = filled.merger
    own.make = in_child
    assert own.merge_one(row_of(filled), stopped) is None
    assert left_over(filled) == []
    assert len(children) == 1


def test_a_child_that_dies_leaves_nothing(
    filled: World, children: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    start = merger.spawn

    def killed(module: str) -> Any:
        child = start(module)
        os.kill(child.process.pid, signal.SIGKILL)
        return child

    monkeypatch.setattr(merger, "spawn", killed)
    own = filled.merger
    own.make = in_child
    assert own.merge_one(row_of(filled), Event()) is None
    assert left_over(filled) == []
    assert len(children) == 1


def test_rows_that_come_alive_again_are_not_lost_by_a_merge_that_dropped_them(filled: World) -> None:
    """As a rollback between its making and its taking in brings them back: here the first row was not kept."""

    def without_the_first_row(order: merger.Order, _: Event) -> merger.Answer:
        answer = merge_child.make(order)
        path = filled.files / answer["kept"]["name"]
        mask = decode_live(path.read_bytes())
        mask[0] = False
        path.write_bytes(encode_live(mask))
        sha256, size = hash_file(path)
        return {**answer, "kept": {**answer["kept"], "sha256": sha256, "bytes": size}}

    own = filled.merger
    own.make = without_the_first_row
    task = own.merge_one(row_of(filled), Event())
    assert task is not None
    before = vectors(filled)
    assert not filled.tend(filled.orders.get(task.id))["result"]["taken"]
    assert vectors(filled) == before


@pytest.fixture
def coded(filled: World) -> World:
    """Its one segment has codes."""
    filled.configure(approximate_above=20)
    assert filled.tend(made(filled))["result"]["taken"]
    return filled


def codes_of(world: World) -> list[Path]:
    published = read_manifest(world.files)
    assert published is not None
    return [world.files / segment.codes.name for segment in published.segments if segment.codes is not None]


def test_a_large_segment_comes_with_codes(coded: World) -> None:
    [codes] = codes_of(coded)
    assert codes.exists()
    assert coded.verify()["valid"]
    assert left_over(coded) == []
    assert coded.merger.merge_one(row_of(coded), Event()) is None, "there is nothing more to merge"


def test_damaged_codes_are_reported_done_without_and_made_anew(coded: World) -> None:
    [codes], before = codes_of(coded), vectors(coded)
    flip(codes, 999)
    [problem] = coded.verify()["problems"]
    assert problem["kind"] == "damaged"
    assert vectors(coded) == before
    fill(coded, first=12, count=1)
    assert codes_of(coded) == []
    assert coded.verify()["valid"]
    assert coded.tend(made(coded))["result"]["taken"]
    assert codes_of(coded) not in ([], [codes])
    assert coded.verify()["valid"]
