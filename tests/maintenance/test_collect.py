"""Garbage: nothing that a kept generation needs is ever removed, and all that none needs is, some time later."""

import random
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from service import failpoints, reader
from service.core.upkeep import Kind
from service.engine import recover
from service.engine.state import CollectionState, segment_of
from service.errors import Conflict
from service.ledger import retained, segments
from service.maintenance import collect
from service.maintenance.collector import Collector
from service.maintenance.generations import Turn
from service.maintenance.work import Duty
from service.reader import Collection
from tests.engine.world import World
from tests.maintenance.test_rollback import (
    LATER,
    check_valid,
    fill,
    generation,
    generations,
    roll_back,
    row_of,
    seen,
)


@pytest.fixture
def forgetful(world: World) -> World:
    """Keeps one job and the newest generation, and waits for nothing."""
    world.configure(retain_jobs=1, retain_days=0, retain_checkpoints=1)
    world.configure(gc_grace_seconds=0, max_live_segments=2)
    return world


def collected(world: World) -> dict[str, Any]:
    done = world.tend(world.orders.place("docs", Kind.COLLECT))
    assert done["state"] == "done", done["error"]
    return dict(done["result"])


def collect_all(world: World) -> None:
    for _ in range(2):  # what the first one notes, the second one removes
        collected(world)


def files_of(world: World) -> set[str]:
    return {f"segments/{path.name}" for path in (world.files / "segments").iterdir()}


def needed_files(world: World) -> set[str]:
    with world.ledger.read() as c:
        return segments.needed_files(c, row_of(world).id)


def kept_generations(world: World) -> list[int]:
    with world.ledger.read() as c:
        row = row_of(world)
        return [g for g in range(row.generation + 1) if retained.is_kept(c, row, g)]


def jobs_with_merges(world: World, first: int = 0, count: int = 5) -> None:
    for n in range(first, first + count):
        fill(world, 3 * n, 3 * n + 1, 3 * n + 2, mtime=LATER + n)
        fill(world, n, said=f"changed by {n}", mtime=LATER + 100 + n)
        world.run()


def test_only_what_kept_generations_need_stays(forgetful: World) -> None:
    world = forgetful
    jobs_with_merges(world)
    before, files = seen(world), files_of(world)
    collect_all(world)
    now = generation(world)
    assert files_of(world) == needed_files(world) < files
    assert seen(world) == before
    kept = kept_generations(world)
    assert kept[0] == 0
    assert kept[-1] == now
    assert len(kept) < 5
    with pytest.raises(Conflict, match=f"kept are {kept[1]}"):
        generations(world).order("docs", Turn(2))
    with world.ledger.read() as c:
        tables = {"version_spans": "version_id", "segment_spans": "segment_id"}
        for spans, name in tables.items():
            numbers = set(c.exec_driver_sql(f"SELECT {name} FROM {spans}").scalars())
            known = "versions" if spans == "version_spans" else "segments"
            assert set(c.exec_driver_sql(f"SELECT {name} FROM {known}").scalars()) == numbers
        assert c.exec_driver_sql("SELECT count(*) FROM garbage").scalar_one() == 0
    for to in (kept[1], now):
        roll_back(world, to)
        check_valid(world)
    assert seen(world) == before
    world.run()
    check_valid(world)


def test_nothing_is_removed_before_its_grace_is_over_by_this_boot_s_own_clock(forgetful: World) -> None:
    world, clock = forgetful, ["boot", 1_000.0]
    world.configure(gc_grace_seconds=900)
    world.duties = {Kind.COLLECT: Duty(lambda work: collect.run(work, lambda: (clock[0], clock[1])))}
    jobs_with_merges(world)
    files = files_of(world)
    for boot, seconds in (("boot", 1_000), ("boot", 1_899), ("next", 5_000), ("next", 5_899)):
        clock[:] = [boot, seconds]
        collected(world)
        assert files_of(world) == files, (boot, seconds)
    clock[:] = ["next", 5_900]
    assert collected(world)["files_removed"] == len(files) - len(needed_files(world)) > 0
    assert files_of(world) == needed_files(world)


def test_a_clock_that_was_ahead_costs_no_history(forgetful: World) -> None:
    """The newest checkpoint was made under it, and a week before that is still to come."""
    forgetful.configure(retain_days=7, max_live_segments=64)
    for n in range(3):
        forgetful.write(f"{n}.txt", f"document {n} says this")
        forgetful.run()
    with forgetful.ledger.write() as c:
        ahead = "2101-01-01T00:00:00.000000+00:00"
        c.exec_driver_sql("UPDATE checkpoints SET at = ? WHERE generation = 3", (ahead,))
    collected(forgetful)
    assert kept_generations(forgetful) == [0, 1, 2, 3]


def test_a_pinned_generation_outlives_all_others(forgetful: World) -> None:
    world = forgetful
    jobs_with_merges(world, 0, 2)
    pinned, before = generation(world), seen(world)
    generations(world).pin("docs", pinned, True)
    jobs_with_merges(world, 2, 4)
    collect_all(world)
    assert pinned in kept_generations(world)
    roll_back(world, pinned)
    assert seen(world) == before
    check_valid(world)
    generations(world).pin("docs", pinned, False)
    jobs_with_merges(world, 6, 3)
    collect_all(world)
    assert pinned not in kept_generations(world)
    with pytest.raises(Conflict, match="not kept any more"):
        generations(world).pin("docs", pinned, True)


def test_a_start_up_between_noting_and_removing_leaves_files_where_they_are(forgetful: World) -> None:
    world = forgetful
    jobs_with_merges(world)
    collected(world)
    noted = files_of(world) - needed_files(world)
    world.run()
    assert noted
    assert noted < files_of(world)
    assert list((world.files / "quarantine").iterdir()) == []


def test_what_a_merge_has_written_is_read_back_before_its_inputs_may_go(
    forgetful: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = forgetful
    monkeypatch.setattr(recover, "FRESHLY_HASHED_BYTES", 0)  # as if it were not among the newest files
    jobs_with_merges(world)
    with world.ledger.read() as c:
        merged = [row for row in segments.live(c, row_of(world).id) if row.verified_at is None]
    assert merged
    path = world.files / merged[0].faiss["name"]
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    files = files_of(world)
    ended = world.tend(world.orders.place("docs", Kind.COLLECT))
    assert (ended["state"], ended["error"]["code"]) == ("queued", "corrupt")
    assert files_of(world) == files
    with world.ledger.read() as c:
        assert [row.suspect for row in segments.live(c, row_of(world).id) if row.verified_at is None] == [
            True
        ]
        assert c.exec_driver_sql("SELECT count(*) FROM garbage").scalar_one() == 0


def test_readers_keep_what_they_have_opened(forgetful: World) -> None:
    world = forgetful
    jobs_with_merges(world)
    opened_then = Collection.open(world.files)
    before = {(row.key, row.ordinal): row.vector for row in opened_then.rows()}
    jobs_with_merges(world, 5, 4)
    opened = files_of(world)
    collect_all(world)
    assert opened - files_of(world)
    assert {key: vector.tolist() for key, vector in before.items()} == {
        (row.key, row.ordinal): row.vector.tolist() for row in opened_then.rows()
    }
    key, vector = next((key, vector) for (key, ordinal), vector in before.items() if ordinal == 0)
    hit = opened_then.search(np.asarray(vector), 1)[0]
    assert (hit.key, round(hit.score, 3)) == (key, 1.0)
    assert opened_then.refresh()
    assert {(row.key, row.ordinal) for row in opened_then.rows()} == {(k, n) for k, n, _ in world.contents()}


def test_a_reader_that_comes_late_takes_the_newer_manifest(
    forgetful: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = forgetful
    jobs_with_merges(world)
    old = reader._read_manifest(world.files)
    jobs_with_merges(world, 5, 4)
    collect_all(world)
    read, first = reader._read_manifest, [old]
    monkeypatch.setattr(reader, "_read_manifest", lambda folder: first.pop() if first else read(folder))
    assert Collection.open(world.files).generation == generation(world)
    assert first == []


def test_it_is_ordered_where_there_may_be_something_and_not_otherwise(forgetful: World) -> None:
    world, collector = forgetful, Collector(forgetful.ledger, forgetful.settings)
    jobs_with_merges(world, 0, 3)
    assert [collector.look(), collector.look()] == [1, 0], "one is waiting"
    world.keeper().serve_idle("worker", world.stop)
    assert collector.look() == 1, "what was noted may be removed by now"
    world.keeper().serve_idle("worker", world.stop)
    assert collector.look() == 0
    assert files_of(world) == needed_files(world)


class Crash(BaseException):
    """As if the process ended here."""


@dataclass
class Crashing:
    """Stands for armed failpoints."""

    point: str

    def reach(self, point: str) -> None:
        if point == self.point:
            raise Crash


@pytest.mark.parametrize("point", [point for point in failpoints.POINTS if point.startswith("collect.")])
def test_what_a_crash_has_left_the_next_one_finishes(
    point: str, forgetful: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = forgetful
    jobs_with_merges(world, 0, 3)
    collected(world)
    jobs_with_merges(world, 3, 1)
    before, task = seen(world), world.orders.place("docs", Kind.COLLECT)
    monkeypatch.setattr(failpoints, "_armed", Crashing(point))
    with pytest.raises(Crash):
        world.tend(task)
    monkeypatch.setattr(failpoints, "_armed", None)
    assert world.tend(task)["state"] == "done"
    assert seen(world) == before
    check_valid(world)
    collect_all(world)
    assert files_of(world) == needed_files(world)
    assert list((world.files / "quarantine").iterdir()) == []


def contents_at(world: World, number: int) -> set[tuple[int, int]]:
    """(version, row's number in it) of all rows that are alive at a generation, from files whose hashes are right."""
    with world.ledger.read() as c:
        row = row_of(world)
        state = CollectionState.load(c, row.id, world.files, "")
        live = segments.live_at(c, row.id, number)
    found = set()
    for each in map(segment_of, live):
        alive, chunks = state.alive(each), state.chunk_file(each)
        found |= {(v, at) for at, v in enumerate(chunks.versions_of_rows()) if alive[at]}
        state.forget(each)
    return {(version, sum(v == version for v, _ in found)) for version, _ in found}


@pytest.mark.parametrize("seed", range(3))
def test_whatever_happens_every_kept_generation_is_whole(forgetful: World, seed: int) -> None:
    history(forgetful, random.Random(seed), steps=12)


@pytest.mark.soak
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("seed", range(100, 130))
def test_whatever_happens_for_long(forgetful: World, seed: int) -> None:
    history(forgetful, random.Random(seed), steps=60)


def history(world: World, chance: random.Random, steps: int) -> None:
    """Jobs, rollbacks, pins and collections in any order; `was` is what each generation had."""
    world.settings = replace(world.settings, retain_jobs=2)
    was: dict[int, set[tuple[int, int]]] = {0: set()}

    def remember() -> None:
        row = row_of(world)
        for number in range(max(was) + 1, row.generation + 1):
            was[number] = contents_at(world, number)

    for step in range(steps):
        what = chance.choice(("job", "job", "job", "rollback", "collect", "collect", "pin"))
        kept = kept_generations(world) if step else []
        if step == 0 or what == "job":
            for n in chance.sample(range(12), chance.randint(1, 5)):
                path = world.library / f"{n:02}.txt"
                if path.exists() and chance.random() < 0.3:
                    path.unlink()
                else:
                    fill(world, n, said=f"as of step {step}", mtime=LATER + step)
            world.run(deletes="safe")
        elif what == "rollback":
            to = chance.choice(kept)
            roll_back(world, to)
            assert contents_at(world, generation(world)) == was[to]
        elif what == "collect":
            collected(world)
        elif len(kept) > 1:
            generations(world).pin("docs", chance.choice(kept[1:]), chance.random() < 0.6)
        remember()
        for number in kept_generations(world):
            assert contents_at(world, number) == was[number], (step, what, number)
    check_valid(world)
    assert Path(world.files / "quarantine").exists()
    assert list((world.files / "quarantine").iterdir()) == []
