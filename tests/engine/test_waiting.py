"""A job that waits says for what, and goes on by itself."""

import shutil
from pathlib import Path
from threading import Thread
from typing import Any, NamedTuple

import pytest
from sqlalchemy import update

from service.core.job import Fact, Verb
from service.engine import waiting, worker
from service.engine.lease import Observer
from service.engine.sweep import sweep
from service.errors import TryAgain, Unavailable
from service.ledger import jobs as job_rows
from service.ledger import workers
from service.ledger.database import Ledger
from service.ledger.schema import events
from tests.engine.holding import HeldPreparer, newest
from tests.engine.world import World

pytestmark = pytest.mark.usefixtures("quick")


class Disk(NamedTuple):
    total: int
    used: int
    free: int


def test_a_low_disk_holds_the_job_which_goes_on_by_itself(world: World, monkeypatch: Any) -> None:
    world.write("x.txt", "document number one")
    world.configure(min_free_bytes=1_000_000_000)
    world.jobs.create(world.order())
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Disk(2_000_000_000, 1_000_000_001, 999_999_999))
    assert world.worker().take_one()
    job = newest(world)
    assert (job["state"], job["desired_state"], job["stage"]) == ("queued", "running", "")
    assert job["reason"]["code"] == "disk_low"
    assert "999999999" in job["reason"]["message"]
    assert job["reason"]["retry_at"] is not None
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Disk(2_000_000_000, 1_000_000_000, 1_000_000_000))
    assert world.worker().take_one()
    assert (newest(world)["state"], newest(world)["reason"]) == ("succeeded", None)
    assert world.contents() == world.expected()


def test_a_held_job_is_not_tried_before_its_time(world: World, monkeypatch: Any) -> None:
    monkeypatch.setattr(worker, "HOLD_SECONDS", 60.0)
    world.write("x.txt", "document number one")
    world.configure(min_free_bytes=1000)
    job = world.jobs.create(world.order())
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Disk(2000, 1001, 999))
    assert world.worker().take_one()
    assert not world.worker().take_one()
    world.jobs.ask(job["id"], Verb.PAUSE)
    assert world.jobs.ask(job["id"], Verb.RESUME)["reason"] is None
    monkeypatch.undo()
    assert world.worker().take_one(), "a person's resume does not wait"


def test_a_pause_while_the_disk_is_low_is_a_pause(world: World, monkeypatch: Any) -> None:
    world.write("x.txt", "document number one")
    world.configure(min_free_bytes=1000)

    def ask_and_measure(_: Path) -> Disk:
        world.jobs.ask(newest(world)["id"], Verb.PAUSE)
        return Disk(2000, 1001, 999)

    world.jobs.create(world.order())
    monkeypatch.setattr(shutil, "disk_usage", ask_and_measure)
    assert world.worker().take_one()
    job = newest(world)
    assert (job["state"], job["reason"], job["paused_at_checkpoint"]) == ("paused", None, 0)


def told(world: World, job: dict[str, Any]) -> str | None:
    """The code of the reason that a job is given."""
    waiting.explain(world.ledger)
    return (world.jobs.get(job["id"])["reason"] or {}).get("code")


def test_a_second_source_waits_for_the_collection_and_then_runs(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waiting, "FRESH_SECONDS", 0.0)
    other = world.folder / "other"
    other.mkdir()
    (other / "o.txt").write_text("from the other source")
    for n in range(5):
        world.write(f"x{n}.txt", f"document number {n}")
    first = world.jobs.create(world.order())
    second = world.jobs.create(world.order(path=other, root="other"))
    refused = list[bool | str | None]()

    def another_worker_tries() -> None:
        refused.extend([world.worker("worker-2").take_one(), told(world, second)])
        world.jobs.ask(first["id"], Verb.PAUSE)

    world.preparer = HeldPreparer(another_worker_tries)
    assert world.worker().take_one()
    assert refused == [False, "waiting_for_collection"]
    assert world.jobs.get(second["id"])["state"] == "queued"
    assert world.worker("worker-2").take_one(), "a paused job holds nothing"
    assert world.jobs.get(second["id"])["state"] == "succeeded"
    assert world.resume(first["id"])["state"] == "succeeded"
    assert world.contents() == world.expected() | {("other/o.txt", 0, "from the other source")}


def test_a_job_that_no_worker_takes_says_what_it_waits_for(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.write("x.txt", "document number one")
    second = world.jobs.create(world.order(collection="others"))
    assert told(world, second) is None, "it was queued a moment ago"
    monkeypatch.setattr(waiting, "FRESH_SECONDS", 0.0)
    sweep(world.ledger, Observer(), world.settings)
    assert world.jobs.get(second["id"])["reason"]["code"] == "no_worker"
    with world.ledger.write() as c:
        workers.register(c, "worker-1", 1, "host", {})
    assert told(world, second) is None
    first = world.jobs.create(world.order())
    with world.ledger.write() as c:
        job_rows.happen(c, first["id"], Fact.LEASED, worker_id="worker-1")
    assert told(world, second) == "waiting_for_worker"
    before = world.jobs.get(second["id"])["version"]
    told(world, second)
    assert world.jobs.get(second["id"])["version"] == before, "the same reason is not told again and again"


def test_a_folder_that_cannot_be_written_is_a_reason_to_wait(world: World) -> None:
    world.write("x.txt", "document number one")
    in_the_way = world.settings.data_dir / "collections"
    in_the_way.write_text("a file where a folder should be")
    job = world.jobs.create(world.order())
    assert not world.worker().take_one()
    held = world.jobs.get(job["id"])
    assert (held["state"], held["reason"]["code"]) == ("queued", "not_writable")
    assert str(in_the_way) in held["reason"]["message"]
    in_the_way.unlink()
    assert world.worker().take_one()
    assert world.jobs.get(job["id"])["state"] == "succeeded"


def test_a_worker_survives_a_ledger_that_is_busy(world: World, monkeypatch: Any) -> None:
    world.write("x.txt", "document number one")
    job = world.jobs.create(world.order())
    working, write, refused = world.worker(), Ledger.write, list[int]()

    def busy_at_first(self: Ledger) -> Any:
        if len(refused) < 3:
            refused.append(1)
            raise TryAgain("ledger_busy", "database is locked")
        return write(self)

    monkeypatch.setattr(Ledger, "write", busy_at_first)
    thread = Thread(target=working.run)
    thread.start()
    while world.jobs.get(job["id"])["state"] != "succeeded" and thread.is_alive():
        thread.join(0.01)
    world.stop.set()
    thread.join()
    assert world.jobs.get(job["id"])["state"] == "succeeded"


def test_a_worker_forgets_what_happened_more_than_a_week_ago(world: World) -> None:
    world.write("a.txt", "a document that makes events")
    job = world.run()
    with world.ledger.write() as c:
        c.execute(update(events).values(at="2020-01-01T00:00:00.000000+00:00"))
    worker = world.worker()
    worker._beat()
    assert world.jobs.events(job["id"], 0) == (False, [])


def test_a_preparer_that_cannot_work_holds_the_job_and_blames_no_document(world: World) -> None:
    def unavailable(_: object) -> None:
        raise Unavailable("parser_start", "no child could be started")

    world.write("x.txt", "document number one")
    world.preparer.before = unavailable
    job = world.run()
    assert (job["state"], job["reason"]["code"], job["progress"]["failed"]) == ("queued", "parser_start", 0)
    world.preparer.before = lambda _: None
    assert world.worker().take_one()
    assert newest(world)["state"] == "succeeded"
    assert world.contents() == world.expected()
