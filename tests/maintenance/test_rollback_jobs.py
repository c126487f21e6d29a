"""Jobs and a rollback: what stands in its way, what is done again, what stays deleted, and what is foretold."""

import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

import pytest

from service.core.job import Verb
from service.core.upkeep import Kind
from service.errors import BadRequest, Conflict, NotFound
from service.ledger import retained
from service.maintenance.generations import Turn
from service.ports import FileTask, Float32Vector
from service.reader import Collection
from service.selftest.fake_embedder import FakeEmbedder
from tests.engine.world import World
from tests.maintenance.test_rollback import (
    LATER,
    change,
    check_valid,
    expected,
    fill,
    first,
    generation,
    generations,
    records,
    roll_back,
    row_of,
    seen,
)

FILES = 50  # of the half-done job; 43 of them have something to do


def stopping(world: World) -> Callable[[FileTask], None]:
    """Told to stop at the twelfth file, once two batches are committed: more are in hand then than settled."""
    enough, read, deadline = generation(world) + 2, [], time.monotonic() + 60

    def stop(task: FileTask) -> None:
        read.append(task)
        while len(read) == 12 and generation(world) < enough:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        if len(read) == 12:
            world.stop.set()

    return stop


def interrupted(world: World) -> dict[str, Any]:
    """A job that has stopped with a part of its work committed."""
    world.preparer.before = stopping(world)
    job = world.run()
    world.preparer.before = lambda _: None
    world.stop.clear()
    assert job["state"] == "interrupted"
    assert 0 < job["progress"]["done"] < 43
    return job


def stopping_inside(world: World) -> Callable[[str], Future[Float32Vector]]:
    """An embedder that has the worker stop at a chunk in the middle of a large document."""
    embedder = FakeEmbedder()

    def submit(text: str) -> Future[Float32Vector]:
        if text.startswith("part 33 "):
            world.stop.set()
            return Future()
        return embedder.submit(text)

    return submit


def states_of_versions(world: World) -> set[str]:
    with world.ledger.read() as c:
        return set(c.exec_driver_sql("SELECT state FROM versions").scalars())


@pytest.fixture
def half_done(world: World) -> tuple[World, int, dict[str, Any], dict[str, Any]]:
    """(World, the generation before the job, what was seen then, the job)."""
    first(world)
    was, before = generation(world), seen(world)
    fill(world, *range(10, 50), mtime=LATER)
    fill(world, 0, 1, said="says something else", mtime=LATER)
    records(world, "more.jsonl", LATER, a="more of the first", b="more of the second")
    job = interrupted(world)
    assert generation(world) > was + 1
    return world, was, before, job


def test_a_job_that_is_not_named_stands_in_the_way(half_done: tuple[World, int, Any, Any]) -> None:
    world, was, _, job = half_done
    for state in ("interrupted", "paused", "queued"):
        with pytest.raises(Conflict, match=rf"{job['id']} is {state}.*name it.*or cancel it"):
            generations(world).order("docs", Turn(was))
        world.jobs.ask(job["id"], Verb.PAUSE if state == "interrupted" else Verb.RESUME)
    with pytest.raises(Conflict, match="only a paused, interrupted or failed job"):
        generations(world).order("docs", Turn(was, (job["id"],)))
    assert generations(world).preview("docs", Turn(was))["refused"]


def test_what_a_named_job_had_done_is_done_again(half_done: tuple[World, int, Any, Any]) -> None:
    world, was, before, job = half_done
    assert job["progress"]["done"] > 0
    result = roll_back(world, was, job["id"])
    assert result["jobs"] == {job["id"]: "rewound"}
    assert seen(world) == before
    view = world.jobs.get(job["id"])
    assert (view["state"], view["progress"]["done"], view["progress"]["total"]) == ("interrupted", 0, FILES)
    assert view["paused_at_checkpoint"] == result["generation"]
    world.preparer.prepared.clear()
    done = world.resume(job["id"])
    assert done["state"] == "succeeded"
    assert (done["progress"]["done"], done["progress"]["settled"]) == (43, FILES)
    assert len(world.preparer.prepared) == len(set(world.preparer.prepared)) == 43
    assert world.contents() == expected(world)
    check_valid(world)


def test_only_what_came_after_the_generation_is_done_again(half_done: tuple[World, int, Any, Any]) -> None:
    world, _, _, job = half_done
    now = generation(world)
    before = world.contents()
    world.resume(job["id"])  # to its end; then it is history
    assert world.jobs.get(job["id"])["state"] == "succeeded"
    result = roll_back(world, now)
    assert result["jobs"] == {}
    assert world.contents() == before
    assert world.jobs.get(job["id"])["progress"]["done"] == 43, "a finished job's items are history"
    assert world.run()["progress"]["done"] == 43 - job["progress"]["done"]
    assert world.contents() == expected(world)


def test_in_the_middle_of_a_paused_job(half_done: tuple[World, int, Any, Any]) -> None:
    world, was, _, job = half_done
    roll_back(world, was + 1, job["id"])
    view = world.jobs.get(job["id"])
    kept = view["progress"]["done"]
    assert 0 < kept < job["progress"]["done"]
    world.preparer.prepared.clear()
    done = world.resume(job["id"])
    assert (done["state"], done["progress"]["done"]) == ("succeeded", 43)
    assert len(world.preparer.prepared) == 43 - kept
    assert world.contents() == expected(world)
    check_valid(world)


def test_deletions_and_failures_are_taken_back_from_the_counters(world: World) -> None:
    first(world)
    was, before = generation(world), seen(world)
    world.write("00.txt", "DAMAGED by now", LATER)
    world.write("01.txt", "short", LATER)
    fill(world, 10, 11, 12, 13, 14, 15, 16, mtime=LATER)
    (world.library / "05.txt").unlink()
    job = world.run()
    view = world.jobs.get(job["id"])["progress"]
    assert (view["failed"], view["skipped"], view["deleted"], view["done"]) == (1, 1, 1, 7)
    # It failed in the end, as far as its state goes: one that can be resumed.
    with world.ledger.write() as c:
        c.exec_driver_sql(f"UPDATE jobs SET state = 'failed' WHERE id = '{job['id']}'")
    assert roll_back(world, was, job["id"])["jobs"] == {job["id"]: "rewound"}
    assert seen(world) == before
    view = world.jobs.get(job["id"])["progress"]
    assert [view[name] for name in ("failed", "skipped", "deleted", "done")] == [0, 0, 0, 0]
    again = world.resume(job["id"])["progress"]
    assert (again["failed"], again["skipped"], again["deleted"], again["done"]) == (1, 1, 1, 7)


def test_a_job_whose_listing_is_out_of_date_begins_anew(world: World) -> None:
    first(world)
    was = generation(world)
    change(world)
    fill(world, *range(30, 80), mtime=LATER)
    job = interrupted(world)
    assert roll_back(world, was, job["id"])["jobs"] == {job["id"]: "begun_anew"}
    view = world.jobs.get(job["id"])["progress"]
    assert (view["total"], view["done"], view["discovered"]) == (None, 0, 0)
    world.resume(job["id"])
    assert {(k, t) for k, _, t in world.contents()} >= {(k, t) for k, _, t in expected(world)}
    check_valid(world)


def test_a_large_document_that_was_unfinished_begins_again(world: World) -> None:
    world.configure(segment_rows=4, batch_size=100)
    fill(world, 0)
    world.run()
    was = generation(world)
    world.write("large.txt", "\n\n".join(f"part {n} of a large document" for n in range(40)), LATER)
    world.embedder.submit = stopping_inside(world)  # type: ignore[method-assign]
    job = world.run()
    world.embedder, _ = FakeEmbedder(), world.stop.clear()
    assert (job["state"], states_of_versions(world)) == ("interrupted", {"complete", "unfinished"})
    roll_back(world, was, job["id"])
    assert states_of_versions(world) == {"complete", "abandoned"}
    world.resume(job["id"])
    assert world.contents() == expected(world)
    check_valid(world)


@pytest.mark.parametrize("revive", [False, True])
def test_what_somebody_has_deleted_comes_back_only_if_asked_for(world: World, revive: bool) -> None:
    first(world)
    was, before = generation(world), seen(world)
    for key in ("library/00.txt", "library/r.jsonl#a"):
        world.tend(world.orders.place("docs", Kind.WITHDRAW, {"key": key}))
    fill(world, 1, said="says something else", mtime=LATER)
    world.run()
    out = {"library/00.txt", "library/r.jsonl#a"}
    told = generations(world).preview("docs", Turn(was, revive_deleted=revive))
    result = roll_back(world, was, revive_deleted=revive)
    assert {n: told[n] for n in ("versions_appear", "versions_disappear")} == {
        n: result[n] for n in ("versions_appear", "versions_disappear")
    }
    left = before["reader"] if revive else {r: v for r, v in before["reader"].items() if r[0] not in out}
    assert seen(world)["reader"] == left
    check_valid(world)
    world.run()
    keys = {row.key for row in Collection.open(world.files).rows()}
    assert (out <= keys, out & keys == out) == (revive, revive)
    check_valid(world)


def test_a_preview_foretells_it_and_changes_nothing(world: World) -> None:
    first(world)
    was, before = generation(world), seen(world)
    change(world)
    after = seen(world)
    told = generations(world).preview("docs", Turn(was))
    assert seen(world) == after
    shown = {each["key"]: (each["before"], each["after"]) for each in told["documents"]}
    result = roll_back(world, was)
    assert told["versions_appear"] == result["versions_appear"] == len(before["visible"] - after["visible"])
    assert (
        told["versions_disappear"]
        == result["versions_disappear"]
        == len(after["visible"] - before["visible"])
    )
    assert (told["from"], told["to"], told["refused"], told["jobs"]) == (
        result["generation"] - 1,
        was,
        None,
        [],
    )
    here, there = (
        {row["key"]: row["version_id"] for row in s["documents"].values()} for s in (after, before)
    )
    differing = {key for key in {*here, *there} if here.get(key) != there.get(key)}
    assert shown == {key: (here.get(key), there.get(key)) for key in differing}
    assert told["added"] + told["changed"] + told["removed"] == len(shown)


def test_refusals_say_what_to_do_and_change_nothing(world: World) -> None:
    first(world)
    now = generation(world)
    other = world.jobs.create(world.order(collection="other", start_paused=True))
    for turn, error, said in (
        (Turn(now + 1), NotFound, str(now + 1)),
        (Turn(-1), NotFound, "-1"),
        (Turn(1, (other["id"],)), BadRequest, "other"),
        (Turn(1, ("job-x",)), NotFound, "job-x"),
    ):
        with pytest.raises(error, match=said):
            generations(world).order("docs", turn)
    with pytest.raises(NotFound, match="none"):
        generations(world).preview("none", Turn(1))
    with world.ledger.write() as c:
        c.exec_driver_sql(f"UPDATE collections SET kept_from = {now} WHERE name = 'docs'")
        row = row_of(world)
        c.exec_driver_sql(f"INSERT INTO retained VALUES ('{row.id}', 1), ('{row.id}', 2)")
    with pytest.raises(Conflict, match=f"kept are 1 to 2, {now}"):
        generations(world).order("docs", Turn(3))
    with world.ledger.read() as c:
        assert retained.is_kept(c, row_of(world), 2)
    assert generation(world) == now


def test_it_is_refused_when_a_file_that_would_come_back_is_damaged(world: World) -> None:
    world.configure(max_live_segments=2)
    first(world)
    was = generation(world)
    gone = {path: path.read_bytes() for path in (world.files / "segments").glob("*.faiss")}
    change(world)
    fill(world, *range(20, 30), mtime=LATER)
    world.run()
    with world.ledger.read() as c:
        live = c.exec_driver_sql("SELECT segment_id FROM segment_spans WHERE to_generation IS NULL").scalars()
        names = {f"{number:08}" for number in live}
    victims = [path for path in gone if path.name[:8] not in names]
    for path in victims:
        data = bytearray(path.read_bytes())
        data[-1] ^= 1
        path.write_bytes(data)
    now, contents = generation(world), world.contents()
    ended = world.tend(generations(world).order("docs", Turn(was)))
    assert (ended["state"], ended["error"]["code"]) == ("failed", "refused")
    assert "is damaged" in ended["error"]["message"]
    assert (generation(world), world.contents()) == (now, contents)
    world.run()
    assert {problem["kind"] for problem in world.verify()["problems"]} == {"damaged"}
    assert world.tend(world.orders.place("docs", Kind.REPAIR))["result"]["generations_given_up"]
    check_valid(world)
