"""Rows on which live files and ledger disagree are put right by a repair, and nothing is embedded for it."""

import os
from collections.abc import Sequence
from pathlib import Path
from threading import Event
from typing import Any

import numpy as np
import pytest

from service import failpoints
from service.core.upkeep import Kind
from service.index.chunkfile import ChunkFile
from service.index.files import hash_file
from service.index.live import decode_live, encode_live
from service.index.records import Mask, live_name
from service.ledger import collections, segments
from service.ledger.database import AnyRow
from service.maintenance.census import Census, Rows, columns_of
from tests.engine.world import OLD, World
from tests.maintenance.test_repair import is_whole, ordered


@pytest.fixture
def filled(world: World) -> World:
    """Nine documents of two chunks each in three segments, and one in a fourth that has changed."""
    for n in range(9):
        world.write(f"{n:02}.txt", f"document {n} says this\n\nand its second part {n}")
    world.run()
    world.write("00.txt", "document 0 says that\n\nand its second part 0", OLD + 100)
    world.run()
    world.embedder.texts.clear()
    return world


def live(world: World) -> Sequence[AnyRow]:
    with world.ledger.read() as c:
        return segments.live(c, collections.by_name(c, "docs").id)


def sql(world: World, statement: str, *values: Any) -> None:
    with world.ledger.write() as c:
        assert c.exec_driver_sql(statement, values).rowcount == 1


def holding(world: World, key: str) -> tuple[AnyRow, list[int], int]:
    """The segment with the visible rows of a document, these rows, and their version."""
    with world.ledger.read() as c:
        number = c.exec_driver_sql("SELECT version_id FROM documents WHERE key = ?", (key,)).scalar_one()
    for row in live(world):
        with ChunkFile(world.files / row.chunks["name"]) as chunks:
            if rows := chunks.rows_of_version(number):
                return row, [each.row for each in rows], number
    raise AssertionError(f"no segment holds {key}")


def alive_of(world: World, row: AnyRow) -> Mask:
    if row.live is None:
        return np.ones(row.rows, np.bool_)
    return decode_live((world.files / row.live["name"]).read_bytes())


def set_alive(world: World, row: AnyRow, alive: Mask) -> None:
    """Another live file, and the ledger names it: what a fault of the program would leave."""
    name = live_name(row.segment_id, row.from_generation, 99)
    path = world.files / name
    path.write_bytes(encode_live(alive))
    digest, size = hash_file(path)
    with world.ledger.write() as c:
        said = {"live": {"name": name, "sha256": digest, "bytes": size}, "live_rows": int(alive.sum())}
        mine = collections.by_name(c, "docs").id
        segments.change_span(c, mine, row.segment_id, row.from_generation, **said)
        collections.change(c, mine, vectors=sum(each.live_rows for each in segments.live(c, mine)))


def kinds(world: World) -> set[str]:
    return {problem["kind"] for problem in world.verify()["problems"]}


def told(world: World) -> tuple[int, int, int]:
    """(buried, revived, queued) by a repair, which says the same beforehand."""
    names = ("rows_buried", "rows_revived", "documents_queued")
    announced = ordered(world, dry_run=True)
    done = ordered(world)
    assert [announced[name] for name in names] == [done[name] for name in names]
    assert done["segments_taken_out"] == []
    buried, revived, queued = (done[name] for name in names)
    return buried, revived, queued


def test_rows_of_a_former_version_that_are_alive_again_are_buried(filled: World) -> None:
    changed = next(row for row in live(filled) if row.live)
    set_alive(filled, changed, np.ones(changed.rows, np.bool_))
    assert kinds(filled) == {"dead"}
    assert told(filled) == (2, 0, 0)
    assert filled.embedder.texts == []
    is_whole(filled)


def test_rows_that_the_ledger_does_not_call_visible_are_buried_and_their_document_is_read_again(
    filled: World,
) -> None:
    _, _, version = holding(filled, "library/03.txt")
    sql(filled, "UPDATE version_spans SET to_generation = 4 WHERE version_id = ?", version)
    assert {"dead", "counts"} == kinds(filled)
    assert told(filled) == (2, 0, 1)
    assert filled.contents() == {row for row in filled.expected() if row[0] != "library/03.txt"}
    assert filled.verify()["valid"], filled.verify()
    filled.run()
    assert len(filled.embedder.texts) == 2
    is_whole(filled)


def test_a_document_whose_version_is_not_visible_is_told_even_without_rows(filled: World) -> None:
    row, rows, version = holding(filled, "library/03.txt")
    sql(filled, "UPDATE version_spans SET to_generation = 4 WHERE version_id = ?", version)
    alive = alive_of(filled, row)
    alive[rows] = False
    set_alive(filled, row, alive)
    assert {"missing", "counts"} == kinds(filled)
    assert told(filled) == (0, 0, 1)
    filled.run()
    is_whole(filled)


def test_rows_that_are_there_twice_are_buried_once(filled: World) -> None:
    filled.configure(merged_rows=24)
    with filled.ledger.read() as c:
        row = collections.by_name(c, "docs")
    while (task := filled.merger.merge_one(row, Event())) is not None:
        assert filled.tend(filled.orders.get(task.id))["result"]["taken"]
    sql(
        filled,
        "UPDATE segment_spans SET to_generation = NULL WHERE segment_id = 2 AND from_generation = "
        "(SELECT max(from_generation) FROM segment_spans WHERE segment_id = 2)",
    )
    assert {"duplicate", "counts"} == kinds(filled)
    again = next(row.live_rows for row in live(filled) if row.segment_id == 2)
    assert told(filled) == (again, 0, 0)
    assert filled.embedder.texts == []
    is_whole(filled)


def test_rows_that_are_dead_by_mistake_come_alive(filled: World) -> None:
    row, rows, _ = holding(filled, "library/04.txt")
    alive = alive_of(filled, row)
    alive[rows[1]] = False
    set_alive(filled, row, alive)
    assert kinds(filled) == {"missing"}
    assert told(filled) == (0, 1, 0)
    assert filled.embedder.texts == []
    is_whole(filled)


def test_what_does_not_add_up_to_the_text_is_done_again(filled: World) -> None:
    row, rows, version = holding(filled, "library/04.txt")
    alive = alive_of(filled, row)
    alive[rows[1]] = False
    set_alive(filled, row, alive)
    sql(filled, "UPDATE versions SET prefix_sha256 = 'of another text' WHERE version_id = ?", version)
    assert told(filled) == (1, 0, 1)
    assert filled.verify()["valid"], filled.verify()
    filled.run()
    is_whole(filled)


def test_a_version_that_its_document_does_not_know_leaves(filled: World) -> None:
    """The former version of a changed document is visible beside its own."""
    sql(filled, "UPDATE version_spans SET to_generation = NULL WHERE to_generation IS NOT NULL")
    changed = next(row for row in live(filled) if row.live)
    set_alive(filled, changed, np.ones(changed.rows, np.bool_))
    assert {"duplicate", "counts"} == kinds(filled)
    assert told(filled) == (2, 0, 0)
    assert filled.embedder.texts == []
    is_whole(filled)


def test_where_all_agrees_nothing_is_committed(filled: World) -> None:
    before = filled.verify()["generation"]
    assert told(filled) == (0, 0, 0)
    assert filled.verify()["generation"] == before


@pytest.mark.parametrize("point", ["repair.queued", "live.synced", "ledger.before", "ledger.after"])
def test_killed_in_the_middle_it_is_done_by_the_next(filled: World, point: str) -> None:
    changed = next(row for row in live(filled) if row.live)
    set_alive(filled, changed, np.ones(changed.rows, np.bool_))
    row, rows, _ = holding(filled, "library/04.txt")
    alive = alive_of(filled, row)
    alive[rows[1]] = False
    if row.segment_id != changed.segment_id:
        set_alive(filled, row, alive)
    task = filled.orders.place("docs", Kind.REPAIR, {})
    filled.ledger.close()
    pid = os.fork()
    if pid == 0:
        failpoints.arm(f"{point}=kill")
        filled.tend(task)
        os._exit(0)
    _, status = os.waitpid(pid, 0)
    assert os.WIFSIGNALED(status)
    filled.keeper(dead_seconds=0.0).serve_idle("the next", Event())
    assert filled.orders.get(task["id"])["state"] == "done"
    assert filled.embedder.texts == []
    is_whole(filled)


@pytest.mark.parametrize(
    ("ordinals", "chunks", "amiss"),
    [
        ([0, 1, 2], 3, 0),
        ([2, 0, 1], 3, 0),
        ([0, 1], 3, 1),
        ([0, 1, 2, 2], 3, 1),
        ([0, 0, 2], 3, 1),
        ([1, 1, 1], 3, 1),  # the same sum
        ([0, 0, 1, 2, 5, 5], 6, 1),  # the same sum of squares
    ],
)
def test_a_count_alone_does_not_say_that_each_chunk_is_there_once(
    ordinals: list[int], chunks: int, amiss: int
) -> None:
    census = Census([(7, chunks)])
    assert census.count(*columns_of([(7, ordinal) for ordinal in ordinals])).size == 0
    assert len(census.amiss()) == amiss


def test_a_row_that_is_alive_stays_so_whatever_is_dead_before_it() -> None:
    parts = [([(7, 0), (7, 1)], np.array([False, True])), ([(7, 1), (7, 0)], np.array([True, True]))]
    chosen = Rows.of(parts).chosen(Census([(7, 2)]))
    assert chosen.tolist() == [False, True, False, True]


def test_other_files_stay_as_they_are(filled: World) -> None:
    changed = next(row for row in live(filled) if row.live)
    before = {path.name for path in Path(filled.files / "segments").iterdir()}
    set_alive(filled, changed, np.ones(changed.rows, np.bool_))
    ordered(filled)
    new = {path.name for path in Path(filled.files / "segments").iterdir()} - before
    assert {Path(name).suffix for name in new} == {".live"}
