"""A worker that dies: its job is settled by others, and a document that kills workers does not stop the rest."""

from collections.abc import Iterator
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from service.core.job import Verb
from service.engine.lease import Observer
from service.engine.sweep import sweep, worker_lost
from service.ledger import jobs as job_rows
from service.ledger import leases
from service.ports import Float32Vector, Folder, Source
from service.selftest.fake_embedder import FakeEmbedder
from service.sources.library import Library
from tests.engine.holding import Act, Died, newest
from tests.engine.world import World

pytestmark = pytest.mark.usefixtures("quick")


class DeadlyEmbedder(FakeEmbedder):
    """A text with the word `poison` ends the process, after `act`."""

    def __init__(self, act: Act = lambda: None) -> None:
        super().__init__()
        self.act, self.deadly_word = act, "poison"

    def submit(self, text: str) -> Future[Float32Vector]:
        if self.deadly_word in text:
            self.act()
            raise Died
        return super().submit(text)


@dataclass
class DeadlySource(Library):
    """The process ends when it is listed, `times` times."""

    library: Source
    times: int

    def scan(self, folder: str, pulse: Act) -> Iterator[Folder]:
        self.times -= 1
        if self.times >= 0:
            raise Died
        return self.library.scan(folder, pulse)

    def locate(self, folder: str, name: str) -> Path:
        return self.library.locate(folder, name)


def die(world: World) -> dict[str, Any]:
    """Work on the first waiting job until the worker dies of it."""
    with pytest.raises(Died):
        world.worker().take_one()
    return newest(world)


def run_and_die(world: World) -> dict[str, Any]:
    world.jobs.create(world.order())
    return die(world)


def swept(world: World) -> dict[str, Any]:
    assert sweep(world.ledger, Observer(), world.settings) == 1
    return newest(world)


def seven_documents_and_poison(world: World) -> None:
    for n in range(7):
        world.write(f"d{n}/x{n}.txt", f"document number {n}")
    world.write("d7/x7.txt", "this text is poison")


def everything_else_is_in(world: World) -> bool:
    return world.contents() == {row for row in world.expected() if "poison" not in row[2]}


def test_a_running_job_whose_worker_died_is_interrupted_by_the_sweep(world: World) -> None:
    seven_documents_and_poison(world)
    world.embedder = DeadlyEmbedder()
    assert run_and_die(world)["state"] == "running"
    job = swept(world)
    assert (job["state"], job["desired_state"], job["reason"]["code"]) == (
        "interrupted",
        "running",
        "worker_gone",
    )
    assert not world.worker().take_one(), "an interrupted job went on by itself"
    world.embedder = FakeEmbedder()
    assert world.resume(job["id"])["state"] == "succeeded"
    assert world.contents() == world.expected()


def test_a_pause_survives_the_death_of_the_worker(world: World) -> None:
    seven_documents_and_poison(world)
    world.embedder = DeadlyEmbedder(lambda: world.jobs.ask(newest(world)["id"], Verb.PAUSE) and None)
    assert run_and_die(world)["state"] == "pausing"
    job = swept(world)
    assert (job["state"], job["desired_state"], job["reason"]) == ("paused", "paused", None)
    assert job["paused_at_checkpoint"] is not None
    world.embedder = FakeEmbedder()
    assert world.resume(job["id"])["state"] == "succeeded"
    assert world.contents() == world.expected()


def test_a_pause_survives_a_worker_lost_under_its_supervisor(world: World) -> None:
    seven_documents_and_poison(world)
    world.embedder = DeadlyEmbedder(lambda: world.jobs.ask(newest(world)["id"], Verb.PAUSE) and None)
    run_and_die(world)
    worker_lost(world.ledger, "worker-1")
    assert newest(world)["state"] == "paused"


def test_a_cancellation_survives_the_death_of_the_worker_and_the_next_holder_finishes_it(
    world: World,
) -> None:
    seven_documents_and_poison(world)
    world.embedder = DeadlyEmbedder(lambda: world.jobs.ask(newest(world)["id"], Verb.CANCEL) and None)
    assert run_and_die(world)["state"] == "cancelling"
    assert sweep(world.ledger, Observer(), world.settings) == 0
    worker_lost(world.ledger, "worker-1")
    assert newest(world)["state"] == "cancelling"
    assert world.worker("worker-2").take_one()
    assert (newest(world)["state"], newest(world)["desired_state"]) == ("cancelled", "cancelled")


def test_the_sweep_leaves_a_living_worker_alone(world: World) -> None:
    world.write("x.txt", "document number one")
    told, observer = [], Observer()
    world.preparer.before = lambda _: told.append(sweep(world.ledger, observer, world.settings))
    assert world.run()["state"] == "succeeded"
    assert told == [0]


def test_a_worker_that_was_taken_for_dead_does_nothing_more(world: World) -> None:
    """As after a long freeze: its beat stood still, the job was settled, and then it goes on."""
    world.write("x.txt", "document number one")
    world.preparer.before = lambda _: sweep(world.ledger, Observer(0.0), world.settings) and None
    job = world.run()
    assert (job["state"], job["last_checkpoint"]) == ("interrupted", None)
    world.preparer.before = lambda _: None
    assert world.resume(job["id"])["state"] == "succeeded"
    assert world.contents() == world.expected()


def test_a_lost_worker_s_job_goes_on_three_times_and_is_then_interrupted(world: World) -> None:
    world.write("x.txt", "document number one")
    source = DeadlySource(Library(world.library), 4)
    world.open_source = lambda _: source
    job = run_and_die(world)
    for _ in range(3):
        worker_lost(world.ledger, "worker-1")
        assert (newest(world)["state"], newest(world)["reason"]["code"]) == ("queued", "worker_lost")
        die(world)
    worker_lost(world.ledger, "worker-1")
    assert (newest(world)["state"], newest(world)["reason"]["code"]) == ("interrupted", "worker_lost")
    assert world.resume(job["id"])["state"] == "succeeded"
    assert world.contents() == world.expected()


def test_somebody_else_s_death_changes_nothing(world: World) -> None:
    seven_documents_and_poison(world)
    world.embedder = DeadlyEmbedder()
    run_and_die(world)
    worker_lost(world.ledger, "worker-2")
    assert newest(world)["state"] == "running"


def work_until_it_is_settled(world: World) -> list[list[str]]:
    """Create a job and see it through under a living supervisor; returns what each of its workers took in hand."""
    tried: list[list[str]] = []
    world.preparer.before = lambda task: tried[-1].append(task.path.name)
    world.jobs.create(world.order())
    while newest(world)["state"] == "queued":
        tried.append([])
        try:
            assert world.worker().take_one()
        except Died:
            worker_lost(world.ledger, "worker-1")
    world.preparer.before = lambda _: None
    return tried


def test_what_was_in_flight_is_tried_in_halves_then_alone_and_then_set_aside(world: World) -> None:
    seven_documents_and_poison(world)
    world.configure(batch_size=8)
    world.embedder = DeadlyEmbedder()
    names = [f"x{n}.txt" for n in range(8)]
    whole, halves, alone, last = work_until_it_is_settled(world)
    assert set(whole) <= set(names)
    assert (set(halves[:4]), set(halves[4:6]), halves[6:]) == (set(names[:4]), set(names[4:6]), names[6:])
    assert (alone, last) == (["x7.txt"], [])
    job = newest(world)
    assert (job["state"], job["progress"]["done"], job["progress"]["failed"]) == (
        "completed_with_errors",
        7,
        1,
    )
    (poison,) = world.jobs.items(job["id"], "failed")["items"]
    assert (poison["path"], poison["reason"]) == ("d7/x7.txt", "poison")
    assert "ended uncleanly 3 times" in poison["detail"]
    assert everything_else_is_in(world)


def test_what_kills_workers_keeps_nothing_else_waiting(world: World) -> None:
    seven_documents_and_poison(world)
    for n in range(80):
        world.write(f"d8/y{n:02}.txt", f"another document {n}")
    world.configure(batch_size=8)
    world.embedder = DeadlyEmbedder()
    job = run_and_die(world)
    in_hand = {item["path"] for item in world.jobs.items(job["id"], "in_flight")["items"]}
    worker_lost(world.ledger, "worker-1")
    die(world)
    rest = {row for row in world.expected() if row[0].removeprefix("library/") not in in_hand}
    assert len(rest) > 40
    assert rest <= world.contents(), "what had never been in hand did not go first"


@pytest.mark.parametrize("fine", [0, 1, 2, 30])
@pytest.mark.parametrize("poison", [1, 2, 3])
def test_poison_is_set_aside_without_anybody_s_help(world: World, poison: int, fine: int) -> None:
    for n in range(poison):
        world.write(f"a/p{n}.txt", f"this text is poison {n}")
    for n in range(fine):
        world.write(f"b/x{n}.txt", f"document number {n}")
    world.configure(max_failures_ratio=1.0)
    world.embedder = DeadlyEmbedder()
    work_until_it_is_settled(world)
    job = newest(world)
    assert (job["state"], job["progress"]["failed"]) == ("completed_with_errors", poison), job["reason"]
    assert not fine or everything_else_is_in(world)


def kill_again_and_again(world: World, times: int) -> str:
    """Everything dies, so often, with nothing committed in between; returns the job's id."""
    world.embedder = DeadlyEmbedder()
    world.embedder.deadly_word = "document"
    job = run_and_die(world)
    for _ in range(times - 1):
        swept(world)
        world.jobs.ask(job["id"], Verb.RESUME)
        die(world)
    swept(world)
    world.embedder = FakeEmbedder()
    return str(job["id"])


@pytest.mark.parametrize("documents", [1, 8])
def test_everything_killed_by_hand_again_and_again_costs_no_document(world: World, documents: int) -> None:
    for n in range(documents):
        world.write(f"x{n}.txt", f"document number {n}")
    job_id = kill_again_and_again(world, 4)
    assert world.resume(job_id)["state"] == "succeeded"
    assert world.contents() == world.expected()


def test_a_document_that_ends_everything_each_time_is_set_aside_too(world: World) -> None:
    world.write("x.txt", "document number one")
    job_id = kill_again_and_again(world, 5)
    job = world.resume(job_id)
    assert (job["state"], job["progress"]["failed"]) == ("completed_with_errors", 1)
    (item,) = world.jobs.items(job_id, "failed")["items"]
    assert (item["reason"], item["detail"]) == (
        "poison",
        "its worker ended uncleanly 5 times while it was in hand",
    )


def test_poison_is_remembered_until_it_changes_or_somebody_asks(world: World) -> None:
    test_what_was_in_flight_is_tried_in_halves_then_alone_and_then_set_aside(world)
    world.preparer.before = lambda _: None
    job = newest(world)
    again = world.run()
    assert (again["state"], again["progress"]["known_failed"]) == ("succeeded", 1)
    assert everything_else_is_in(world)
    world.embedder = FakeEmbedder()
    world.jobs.ask(job["id"], Verb.RETRY)
    assert world.worker().take_one()
    assert world.jobs.get(job["id"])["state"] == "succeeded"
    assert world.contents() == world.expected()


def test_a_worker_that_lost_its_lease_drops_what_it_has_and_lives_on(world: World) -> None:
    """Whatever it meets afterwards, and whatever it would like to record about it."""
    for trouble in (lambda: None, lambda: 1 / 0, lambda: (_ for _ in ()).throw(OSError("gone"))):
        world.write("x.txt", f"document {trouble!r}")
        job = world.jobs.create(world.order())

        def taken_over(_: object, trouble: Any = trouble) -> None:
            with world.ledger.write() as c:
                held = leases.read(c, job_rows.get(c, job["id"]).collection_id)  # noqa: B023
                leases.take(c, held, "worker-2", "", "elsewhere")
            trouble()

        world.preparer.before = taken_over
        assert world.worker().take_one()
        assert world.jobs.get(job["id"])["state"] == "running", "a worker without a lease settled a job"
        assert swept(world)["state"] == "interrupted"
        world.jobs.ask(job["id"], Verb.CANCEL)
        free_the_lease(world, job["id"])
    world.preparer.before = lambda _: None
    assert world.run()["state"] == "succeeded"
    assert world.contents() == world.expected()


def free_the_lease(world: World, job_id: str) -> None:
    with world.ledger.write() as c:
        collection = job_rows.get(c, job_id).collection_id
        leases.release(c, collection, leases.read(c, collection).token)
