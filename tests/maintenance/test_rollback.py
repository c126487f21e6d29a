"""A rollback makes a collection what it was: for readers, in the ledger, and for the jobs that go on from there."""

import json
from typing import Any

import pytest

from service.index.commit_record import read_chain
from service.ledger import collections
from service.maintenance.generations import Generations, Turn
from service.reader import Collection
from service.selftest.world import OLD
from tests.engine.stories import dump
from tests.engine.world import World
from tests.maintenance.test_reindex import order, other_model, see_through

LATER = OLD + 1_000
_TIMES = ("updated_at", "generation")


def row_of(world: World) -> Any:
    with world.ledger.read() as c:
        return collections.by_name(c, "docs")


def generation(world: World) -> int:
    return int(row_of(world).generation)


def generations(world: World) -> Generations:
    return Generations(world.ledger)


def roll_back(world: World, to: int, *jobs: str, revive_deleted: bool = False) -> dict[str, Any]:
    """Order a rollback and see it through."""
    turn = Turn(to, jobs, revive_deleted)
    done = world.tend(generations(world).order("docs", turn))
    assert done["state"] == "done", done["error"]
    return dict(done["result"])


def seen(world: World) -> dict[str, Any]:
    """What readers find, and what the ledger says of documents that are there."""
    reader = {
        (r.key, r.version, r.ordinal, r.text): r.vector.tobytes() for r in Collection.open(world.files).rows()
    }
    with world.ledger.read() as c:
        query = "SELECT * FROM documents WHERE state NOT IN ('deleted', 'withdrawn')"
        rows = [dict(row._mapping) for row in c.exec_driver_sql(query)]
        spans = c.exec_driver_sql(
            "SELECT version_id FROM version_spans WHERE to_generation IS NULL"
        ).scalars()
        visible = set(spans)
        counted = c.exec_driver_sql("SELECT documents, vectors FROM collections").one()
    assert len(reader) == counted.vectors
    assert len(visible) == counted.documents == sum(row["version_id"] is not None for row in rows)
    told = {row["key"]: {name: row[name] for name in row if name not in _TIMES} for row in rows}
    return {"reader": reader, "documents": told, "visible": visible}


def records(world: World, name: str, mtime: int, **texts: str) -> None:
    lines = [json.dumps({"id": key, "text": text}) for key, text in texts.items()]
    world.write(name, "\n".join(lines), mtime)


def fill(world: World, *numbers: int, said: str = "says this", mtime: int = OLD) -> None:
    for n in numbers:
        world.write(f"{n:02}.txt", f"document {n} {said}\n\nand its second part {n}", mtime)


def first(world: World) -> None:
    """Documents of every kind."""
    fill(world, *range(6))
    world.write("damaged.txt", "DAMAGED beyond repair")
    world.write("short.txt", "short")
    records(
        world, "r.jsonl", OLD, a="first record", b="second record", c="BAD record of it", d="fourth record"
    )
    world.run()


def change(world: World) -> None:
    """Every kind of change."""
    fill(world, 0, 1, said="says something else", mtime=LATER)
    fill(world, 10, 11, mtime=LATER)
    (world.library / "02.txt").unlink()
    world.write("damaged.txt", "mended, and long enough", LATER)
    world.write("short.txt", "not short any more at all", LATER)
    world.write("03.txt", "DAMAGED by now", LATER)
    world.write("04.txt", "short", LATER)
    records(
        world,
        "r.jsonl",
        LATER,
        a="first record",
        b="second record, changed",
        c="third record",
        e="the fifth record",
    )
    world.run()


@pytest.fixture
def changed(world: World) -> tuple[World, int, dict[str, Any]]:
    """A collection that has changed, the generation before, and what was seen then."""
    first(world)
    was, before = generation(world), seen(world)
    change(world)
    assert seen(world) != before
    return world, was, before


def expected(world: World) -> set[tuple[str, int, str]]:
    """What the library's files say, without the record that is damaged."""
    return {row for row in world.expected() if not row[2].startswith("BAD")}


def check_valid(world: World) -> None:
    report = world.verify()
    assert report["valid"], report
    assert Collection.open(world.files).verify() == []
    row = row_of(world)
    assert row.published_generation == row.generation


def test_a_collection_becomes_what_it_was(changed: tuple[World, int, dict[str, Any]]) -> None:
    world, was, before = changed
    now = generation(world)
    result = roll_back(world, was)
    assert (result["changed"], result["generation"], result["to"]) == (True, now + 1, was)
    assert seen(world) == before
    check_valid(world)


def test_going_on_from_there_equals_a_run_that_was_never_rolled_back(
    changed: tuple[World, int, dict[str, Any]],
) -> None:
    world, was, _ = changed
    after = {key: row["state"] for key, row in seen(world)["documents"].items()}
    contents = world.contents()
    roll_back(world, was)
    assert world.run()["state"] == "completed_with_errors"
    assert world.contents() == contents
    assert {key: row["state"] for key, row in seen(world)["documents"].items()} == after
    check_valid(world)


def test_a_rollback_can_be_rolled_back_and_so_can_that(changed: tuple[World, int, dict[str, Any]]) -> None:
    world, was, before = changed
    now, after = generation(world), seen(world)
    for _ in range(2):
        roll_back(world, was)
        assert seen(world) == before
        roll_back(world, now)
        assert seen(world) == after
    check_valid(world)
    assert world.run()["progress"]["done"] == 0
    assert seen(world) == after


def test_twice_in_a_row_and_to_the_present_changes_nothing(
    changed: tuple[World, int, dict[str, Any]],
) -> None:
    world, was, _ = changed
    roll_back(world, was)
    rows = {
        row
        for row in dump(world)
        if row[0] not in ("tasks", "leases", "events", "metrics", "sqlite_sequence")
    }
    for to in (generation(world), generation(world)):
        assert roll_back(world, to) == {"changed": False, "generation": generation(world), "to": to}
    left = {
        row
        for row in dump(world)
        if row[0] not in ("tasks", "leases", "events", "metrics", "sqlite_sequence")
    }
    assert left == rows


def test_across_merges_whose_inputs_come_back(world: World) -> None:
    world.configure(max_live_segments=2)
    story = []
    for start in range(0, 24, 3):
        fill(world, *range(start, start + 3), mtime=OLD + start)
        fill(world, start // 2, said=f"changed at {start}", mtime=LATER + start)
        world.run()
        story.append((generation(world), seen(world)))
    kinds = [record.kind for record in read_chain(world.files).records]
    assert kinds.count("merge") > 2
    for was, before in (story[5], story[1], story[6], story[0], story[7]):
        roll_back(world, was)
        assert seen(world) == before
        check_valid(world)
    world.run()
    assert world.contents() == expected(world)


def test_back_to_the_beginning_and_from_there(changed: tuple[World, int, dict[str, Any]]) -> None:
    world, _, _ = changed
    roll_back(world, 0)
    assert (seen(world)["reader"], seen(world)["documents"]) == ({}, {})
    check_valid(world)
    world.run()
    assert world.contents() == expected(world)
    check_valid(world)


def test_numbers_are_never_given_out_again(changed: tuple[World, int, dict[str, Any]]) -> None:
    world, was, _ = changed
    numbers = ("next_doc_id", "next_version_id", "next_segment_id", "batch")
    before = [getattr(row_of(world), name) for name in numbers]
    roll_back(world, was)
    assert [getattr(row_of(world), name) for name in numbers] == before


def test_the_record_says_what_a_rebuild_needs(changed: tuple[World, int, dict[str, Any]]) -> None:
    world, was, before = changed
    after = seen(world)
    roll_back(world, was)
    record = read_chain(world.files).records[-1]
    assert record.kind == "rollback"
    assert record.rollback is not None
    assert record.rollback["to"] == was
    assert set(record.rollback["versions"]) == before["visible"] - after["visible"]
    assert {said["version"] for said in record.versions_retired} == after["visible"] - before["visible"]
    with world.ledger.read() as c:
        opened = c.exec_driver_sql(
            f"SELECT segment_id FROM segment_spans WHERE from_generation = {record.generation}"
        ).scalars()
        assert {segment["segment"] for segment in record.rollback["segments"]} == set(opened)


def test_over_a_switch_to_another_model_and_back(world: World) -> None:
    first(world)
    was, before, old = generation(world), seen(world), world.embedder
    other_model(world)
    see_through(world, order(world))
    switched, after = generation(world), seen(world)
    for to, then, embedder in ((was, before, old), (switched, after, world.embedder)):
        roll_back(world, to)
        assert seen(world) == then
        check_valid(world)
        assert row_of(world).space["model"] == embedder.space.model
    roll_back(world, was)
    world.embedder = old
    change(world)
    assert {row for row in world.contents() if "03.txt" not in row[0]} == expected(world)
    check_valid(world)
