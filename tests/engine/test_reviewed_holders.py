"""What a hostile review has found in who holds a job: the living were taken for dead, and the dead for living."""

import asyncio
import errno
import shutil
import sqlite3
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import closing
from datetime import datetime, timedelta, tzinfo
from threading import Event, Thread, Timer
from types import SimpleNamespace
from typing import Any

import pytest
from sqlalchemy.exc import OperationalError

from service import supervisor
from service.core.job import Verb
from service.engine import lease, worker
from service.engine import sweep as sweeping
from service.engine.lease import Lease, Observer, Wanted
from service.engine.sweep import sweep
from service.errors import TryAgain
from service.ledger.database import Ledger
from service.selftest.fake_embedder import FakeEmbedder
from service.supervisor import Supervisor
from tests.engine.holding import Act, Died, Once, newest, wait_until
from tests.engine.world import World

pytestmark = pytest.mark.usefixtures("quick")

WORKER = "worker-1"


class ActingEmbedder(FakeEmbedder):
    """Something happens when the first text comes."""

    def __init__(self, act: Act) -> None:
        super().__init__()
        self.once = Once(act)

    def submit(self, text: str) -> "Future[Any]":
        self.once()
        return super().submit(text)


class AYearAhead(datetime):
    """The clock before it is set back."""

    @classmethod
    def now(cls, tz: tzinfo | None = None) -> Any:
        return datetime.now(tz) + timedelta(days=365)


@pytest.fixture
def held(world: World) -> Iterator[Lease]:
    """The lease of a new job's collection, watching that job."""
    job_id = world.jobs.create(world.order())["id"]
    with world.job_row(job_id) as row:
        job = row
    taken = Lease.take(world.ledger, Observer(), Wanted(job.collection_id, job.id), world.files, WORKER)
    assert taken is not None
    taken.watch(job_id)
    yield taken
    taken.release()


@pytest.mark.parametrize(("verb", "settled"), [(None, "interrupted"), (Verb.PAUSE, "paused")])
def test_a_frozen_supervised_worker_s_job_is_settled_after_its_silence(
    world: World, monkeypatch: pytest.MonkeyPatch, verb: Verb | None, settled: str
) -> None:
    monkeypatch.setattr(lease, "BEAT_SECONDS", 60.0)
    observer, seen = Observer(0.05), list[str]()

    def freeze() -> None:
        if verb:
            world.jobs.ask(newest(world)["id"], verb)
        assert sweep(world.ledger, observer, world.settings, WORKER) == 0, (
            "nobody has watched for long enough"
        )
        wait_until(lambda: sweep(world.ledger, observer, world.settings, WORKER) == 1)
        seen.append(newest(world)["state"])

    world.embedder = ActingEmbedder(freeze)
    world.write("x.txt", "document number one")
    assert world.run()["state"] == settled, "what it does after the thaw counts for nothing"
    assert seen == [settled]
    world.embedder = FakeEmbedder()
    assert world.resume(newest(world)["id"])["state"] == "succeeded"
    assert world.contents() == world.expected()


def test_a_ledger_that_was_busy_at_the_wrong_moment_interrupts_no_living_worker_s_job(
    world: World, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    busy, write, observer = Event(), Ledger.write, Observer()

    def write_unless_busy(self: Ledger) -> Any:
        if busy.is_set() and threading.current_thread() is not threading.main_thread():
            raise TryAgain("ledger_busy", "database is locked")
        return write(self)

    def settled() -> bool:
        sweep(world.ledger, observer, world.settings, WORKER)
        return newest(world)["state"] in ("succeeded", "interrupted", "failed")

    monkeypatch.setattr(Ledger, "write", write_unless_busy)
    world.embedder = ActingEmbedder(busy.set)
    world.write("x.txt", "document number one")
    world.jobs.create(world.order())
    working = Thread(target=world.worker(WORKER).run)
    working.start()
    try:
        wait_until(lambda: "the ledger does not take what the worker has to say" in caplog.text)
        assert not settled()
        busy.clear()
        wait_until(settled)
    finally:
        world.stop.set()
        working.join()
    assert newest(world)["state"] == "succeeded", newest(world)["reason"]
    assert world.contents() == world.expected()


def test_a_sweep_that_had_to_wait_for_the_ledger_lets_the_worker_s_beat_go_first(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def die() -> None:
        raise Died

    world.embedder = ActingEmbedder(die)
    world.write("x.txt", "document number one")
    world.jobs.create(world.order())
    with pytest.raises(Died):
        world.worker().take_one()
    beat_seconds = sweeping.BEAT_SECONDS
    monkeypatch.setattr(sweeping, "BEAT_SECONDS", 0.05)
    database = world.settings.data_dir / "tidestone.db"
    with closing(sqlite3.connect(database, isolation_level=None, check_same_thread=False)) as other:
        other.execute("BEGIN IMMEDIATE")
        unlock = Timer(0.2, other.rollback)
        unlock.start()
        assert sweep(world.ledger, Observer(), world.settings) == 0
        unlock.join()
    monkeypatch.setattr(sweeping, "BEAT_SECONDS", beat_seconds)
    assert sweep(world.ledger, Observer(), world.settings) == 1


def test_time_in_which_the_observer_itself_stood_still_makes_nobody_dead(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = SimpleNamespace(now=1000.0)
    monkeypatch.setattr(lease, "time", SimpleNamespace(monotonic=lambda: clock.now))
    observer = Observer(15.0)
    row: Any = SimpleNamespace(collection_id="docs", holder=WORKER, token=1, beat=5, lock_host="")

    def is_free_after(seconds: float) -> bool:
        clock.now += seconds
        return observer.is_free(row, has_lock=False)

    assert not is_free_after(0)
    row.beat += 1
    assert not is_free_after(2)
    assert not is_free_after(3600), "the whole machine was frozen"
    row.beat += 1
    assert [is_free_after(seconds) for seconds in (1, 5, 5, 4, 1)] == [False] * 4 + [True]


def test_the_lease_lives_through_an_error_of_the_disk(
    world: World, held: Lease, monkeypatch: pytest.MonkeyPatch
) -> None:
    get, failed = lease.jobs.get, Event()

    def fail_once(c: Any, job_id: str) -> Any:
        if threading.current_thread().name == "lease" and not failed.is_set():
            failed.set()
            said = sqlite3.OperationalError("disk I/O error")
            said.sqlite_errorname = "SQLITE_IOERR_READ"
            raise OperationalError("SELECT", {}, said)
        return get(c, job_id)

    monkeypatch.setattr(lease.jobs, "get", fail_once)
    assert failed.wait(10)
    world.jobs.ask(newest(world)["id"], Verb.PAUSE)
    wait_until(lambda: held.wish == "paused")


def test_a_clock_that_is_set_back_does_not_stall_a_held_job(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.write("x.txt", "document number one")
    world.configure(min_free_bytes=1 << 30)
    world.jobs.create(world.order())
    with monkeypatch.context() as before:
        before.setattr(worker, "HOLD_SECONDS", 60.0)
        before.setattr(worker, "datetime", AYearAhead)
        before.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=(1 << 30) - 1))
        assert world.worker().take_one()
        assert newest(world)["reason"]["code"] == "disk_low"
    monkeypatch.setattr(worker, "HOLD_SECONDS", 60.0)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=1 << 30))
    assert world.worker().take_one()
    assert newest(world)["state"] == "succeeded"


def test_a_supervisor_that_cannot_start_a_worker_tries_again(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def until_the_third_try() -> None:
        third, tries = asyncio.Event(), list[str]()

        async def no_process_to_spare(*command: str) -> None:
            tries.append(command[0])
            if len(tries) == 3:
                third.set()
            raise OSError(errno.EAGAIN, "Resource temporarily unavailable")

        monkeypatch.setattr(asyncio, "create_subprocess_exec", no_process_to_spare)
        async with Supervisor(world.ledger, world.settings).running():
            await asyncio.wait_for(third.wait(), 10)

    monkeypatch.setattr(supervisor, "FIRST_RESTART_SECONDS", 0.01)
    asyncio.run(until_the_third_try())
