"""Tasks are done by whoever holds the collection: once, also after a crash, and beside a job between two commits."""

import errno
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest

from service.core.job import Verb
from service.core.upkeep import Kind
from service.engine.lease import Lease, Observer, Wanted
from service.errors import BadRequest, Conflict, Refused, TryAgain
from service.ledger import collections, tasks
from service.ledger.database import utc_now
from service.maintenance import keeper
from service.maintenance.keeper import Keeper
from service.maintenance.work import Duty, Work
from service.ports import Float32Vector
from service.selftest.fake_embedder import FakeEmbedder
from tests.engine.holding import Died, wait_until
from tests.engine.world import World

TEXTS = {f"{n}.txt": f"document number {n}\n\nits second part {n}" for n in range(7)}


class Late(FakeEmbedder):
    """Orders a task at the first chunk, and gives no vector before it is done."""

    def __init__(self, world: World) -> None:
        super().__init__()
        self.world, self.task = world, ""

    def submit(self, text: str) -> Future[Float32Vector]:
        self.task = self.task or self.world.orders.place("docs", Kind.REPAIR)["id"]
        done = self.world.orders.get(self.task)["state"] == "done"
        return super().submit(text) if done else Future()


def filled(world: World) -> World:
    for name, text in TEXTS.items():
        world.write(name, text)
    world.run()
    return world


def answering(world: World, run: Callable[[Work], dict[str, Any]]) -> list[dict[str, Any]]:
    """The only duty is `run`; the returned list grows by every call's options."""
    seen: list[dict[str, Any]] = []

    def noted(work: Work) -> dict[str, Any]:
        seen.append(dict(work.options))
        return run(work)

    world.duties = {Kind.REPAIR: Duty(noted)}
    return seen


def test_a_flipped_segment_is_repaired_without_a_job_and_only_its_documents_are_done_again(
    world: World,
) -> None:
    filled(world)
    whole = world.contents()
    damaged = sorted((world.files / "segments").glob("*.faiss"))[0]
    data = bytearray(damaged.read_bytes())
    data[-1] ^= 1
    damaged.write_bytes(data)
    done = world.tend(world.orders.place("docs", Kind.REPAIR))
    assert done["state"] == "done"
    assert [name.split("/")[1] for name in done["result"]["segments_taken_out"]] == [damaged.name]
    left = world.contents()
    assert left < whole
    before = len(world.embedder.texts)
    assert world.run()["state"] == "succeeded"
    assert world.contents() == whole == world.expected()
    assert len(world.embedder.texts) - before == len(whole) - len(left)
    assert world.verify()["valid"]


def test_a_task_that_a_dead_holder_has_begun_is_begun_anew(world: World) -> None:
    filled(world)
    seen = answering(world, lambda work: {"attempts": work.task.attempts})
    task = world.orders.place("docs", Kind.REPAIR, {"n": 1})
    with world.ledger.write() as c:
        tasks.begin(c, task["id"], token=0)
    assert world.tend(task)["result"] == {"attempts": 2}
    assert seen == [{"n": 1}]


def test_a_task_that_finished_with_its_commit_is_not_done_twice(world: World) -> None:
    filled(world)

    def dies_after_its_commit(work: Work) -> dict[str, Any]:
        with work.holding.ledger.write() as c:
            work.done({"first": True})(c)
        raise RuntimeError("the process ends here")

    seen = answering(world, dies_after_its_commit)
    task = world.orders.place("docs", Kind.REPAIR)
    for _ in range(3):
        done = world.tend(task)
    assert (done["state"], done["result"], len(seen)) == ("done", {"first": True}, 1)


@pytest.mark.parametrize("error", [BadRequest("no"), Conflict("no"), Refused("no")], ids=repr)
def test_a_refusal_ends_the_task_and_says_why(world: World, error: Exception) -> None:
    filled(world)

    def refuse(work: Work) -> dict[str, Any]:
        raise error

    answering(world, refuse)
    ended = world.tend(world.orders.place("docs", Kind.REPAIR))
    assert (ended["state"], ended["error"]["message"]) == ("failed", "no")


def test_what_passes_is_tried_again_and_what_never_ends_well_is_given_up(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keeper, "RETRY_SECONDS", 0.0)
    filled(world)

    def fail(work: Work) -> dict[str, Any]:
        if work.task.attempts < 3:
            raise TryAgain("disk_low", "full")
        raise RuntimeError("a mistake")

    seen = answering(world, fail)
    task = world.orders.place("docs", Kind.REPAIR)
    states = [(done := world.tend(task))["state"] for _ in range(keeper.MOST_ATTEMPTS)]
    assert states == ["queued"] * (keeper.MOST_ATTEMPTS - 1) + ["failed"]
    assert done["error"] == {"code": "runtime_error", "message": "RuntimeError: a mistake"}
    world.tend(task)
    assert len(seen) == keeper.MOST_ATTEMPTS


def test_a_task_that_ends_one_worker_after_the_other_is_given_up(world: World) -> None:
    """Whoever begins it is out of memory: the next would be too, and no job of the collection would ever run."""
    filled(world)

    def die(work: Work) -> dict[str, Any]:
        raise Died

    seen = answering(world, die)
    task = world.orders.place("docs", Kind.REPAIR)
    for n in range(keeper.MOST_DEATHS):
        with pytest.raises(Died):
            world.tend(task)
        if n == 0:  # a worker that was told to stop, or had to wait, has nothing to do with it
            with world.ledger.write() as c:
                tasks.put_back(c, task["id"], 0.0, "disk_low", "full")
            with pytest.raises(Died):
                world.tend(task)
    assert world.orders.get(task["id"])["error"]["code"] == "worker_gone"
    other = world.orders.place("docs", Kind.REPAIR)
    with pytest.raises(Died):
        world.tend(other)
    ended = world.orders.get(task["id"])
    assert (ended["state"], ended["error"]["code"]) == ("failed", "worker_gone")
    assert len(seen) == keeper.MOST_DEATHS + 2


def test_a_task_waits_for_whoever_holds_the_collection(world: World) -> None:
    filled(world)
    seen = answering(world, lambda work: {})
    task = world.orders.place("docs", Kind.REPAIR)
    with world.ledger.read() as c:
        wanted = Wanted(collections.by_name(c, "docs").id)
    held = Lease.take(world.ledger, Observer(), wanted, world.files, "somebody else")
    assert held is not None
    assert world.tend(task)["state"] == "queued"
    held.release()
    assert world.tend(task)["state"] == "done"
    assert len(seen) == 1


def test_beside_a_job_a_task_is_done_between_two_commits(world: World) -> None:
    """Ordered while the first batch is embedded: done before the job ends, and nothing is lost by it."""
    for name, text in TEXTS.items():
        world.write(name, text)
    generations: list[int] = []

    def look(work: Work) -> dict[str, Any]:
        generations.append(work.holding.state.generation)
        return {}

    answering(world, look)
    job = world.jobs.create(world.order())
    world.embedder = late = Late(world)
    worker = world.worker()
    chores = worker.tools.chores
    assert isinstance(chores, Keeper)
    chores.beside_a_job = [Kind.REPAIR]
    assert worker.take_one()
    assert world.jobs.get(job["id"])["state"] == "succeeded"
    assert world.orders.get(late.task)["state"] == "done"
    assert len(generations) == 1
    assert world.contents() == world.expected()


def test_a_pause_that_comes_while_a_task_is_done_is_obeyed_and_the_task_goes_on_later(world: World) -> None:
    for name, text in TEXTS.items():
        world.write(name, text)
    job = world.jobs.create(world.order())

    def pauses_at_first(work: Work) -> dict[str, Any]:
        if work.task.attempts == 1:
            world.jobs.ask(job["id"], Verb.PAUSE)
            wait_until(lambda: work.holding.lease.wish != "running")
            work.check()
        return {}

    seen = answering(world, pauses_at_first)
    world.embedder = Late(world)
    worker = world.worker()
    assert isinstance(worker.tools.chores, Keeper)
    worker.tools.chores.beside_a_job = [Kind.REPAIR]
    assert worker.take_one()
    assert world.jobs.get(job["id"])["state"] == "paused"
    with world.job_row(job["id"]) as row:
        assert row.losses == 0, "the pause was taken for an error"
    assert world.tend({"id": world.embedder.task})["state"] == "done"
    assert len(seen) == 2
    assert world.resume(job["id"])["state"] == "succeeded"
    assert world.contents() == world.expected()


def test_a_folder_that_cannot_be_made_puts_a_task_off(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    filled(world)
    task = world.orders.place("docs", Kind.REPAIR)

    def full(path: Path) -> None:
        raise OSError(errno.ENOSPC, "no space")

    with monkeypatch.context() as broken:
        broken.setattr(keeper, "make_folder", full)
        put_off = world.tend(task)
    assert (put_off["state"], put_off["error"]["code"]) == ("queued", "oserror")
    with world.ledger.write() as c:
        c.exec_driver_sql("UPDATE tasks SET not_before = NULL")
    assert world.tend(task)["state"] == "done"


def test_a_clock_that_was_set_back_does_not_make_a_task_wait_for_hours(world: World) -> None:
    filled(world)
    seen = answering(world, lambda work: {})
    task = world.orders.place("docs", Kind.REPAIR)
    with world.ledger.write() as c:
        c.exec_driver_sql("UPDATE tasks SET not_before = ?", ("2999-01-01T00:00:00.000000+00:00",))
    assert world.tend(task)["state"] == "done"
    assert seen
    assert utc_now() < "2999"


def test_what_was_committed_and_not_published_is_published_by_whoever_is_idle(world: World) -> None:
    filled(world)
    (world.files / "manifest.json").unlink()
    with world.ledger.write() as c:
        row = collections.by_name(c, "docs")
        collections.change(c, row.id, published_generation=row.generation - 1)
    worker = world.worker()
    assert worker.tools.chores.serve_idle(worker.worker_id, world.stop)
    assert world.contents() == world.expected()
    assert not worker.tools.chores.serve_idle(worker.worker_id, world.stop)
