"""A full disk holds a job and loses nothing: control goes on, and so does the job when there is space again."""

import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from service.core.job import Verb
from service.data_folder import open_ledger
from service.engine import lease as lease_module
from service.engine.lease import DEAD_SECONDS, Lease, Observer, Wanted
from service.engine.sweep import sweep
from service.errors import Refused, TidestoneError, TryAgain
from service.ledger import collections, leases, metrics, workers
from service.ledger.reserve import MARGIN_BYTES, NAME, RESERVE_BYTES
from service.settings import load
from tests.engine.world import World
from tests.faults.disks import PAGE, SmallDisk, small_disk
from tests.running import wait_for

SIZE_BYTES = 64 << 20
pytestmark = pytest.mark.usefixtures("quick")


@contextmanager
def on_a_small_disk(tmp_path: Path) -> Iterator[tuple[World, SmallDisk]]:
    """A world whose data is on the small disk; the library is elsewhere."""
    library = tmp_path / "library"
    library.mkdir(exist_ok=True)
    with small_disk(Path(tempfile.mkdtemp(dir=tmp_path)) / "disk", SIZE_BYTES) as disk:
        (disk.path / "library").symlink_to(library)
        world = World(disk.path)
        world.configure(batch_size=2)
        try:
            yield world, disk
        finally:
            world.ledger.close()


def write_library(world: World) -> None:
    for n in range(8):
        world.write(f"{n}.txt", f"document {n} says this\n\nand its second part {n}")


def attempt(world: World) -> dict[str, Any]:
    """One worker's try at the job, as its process would go about it; the job as it is then."""
    try:
        worker = world.worker("worker-of-the-test", dead_seconds=0.0)
        worker.take_one()
    except TryAgain as error:
        with suppress(TryAgain, UnboundLocalError):
            worker._let_go(error)
    with suppress(TryAgain):
        sweep(world.ledger, Observer(0.0), world.settings)
    job = world.jobs.find(world.order())
    assert job is not None
    return job


def settles(world: World, disk: SmallDisk, free_bytes: int) -> str:
    """Work with so little space; then with enough of it. Why the job did not go through at once, "" if it did."""
    write_library(world)
    world.ledger.keep_reserve()
    job_id = world.jobs.create(world.order())["id"]
    disk.leave(free_bytes)
    job = attempt(world)
    why = ""
    if job["state"] != "succeeded":
        assert job["state"] in ("queued", "interrupted"), job
        why = (job["reason"] or {"code": "not a byte to say why"})["code"]
        for verb, state in ((Verb.PAUSE, "paused"), (Verb.RESUME, "queued")):
            assert world.jobs.ask(job_id, verb)["state"] == state
        disk.empty()
        job = attempt(world)
    assert job["state"] == "succeeded", job
    assert world.contents() == world.expected()
    assert world.verify()["valid"], world.verify()
    return why


def check_from_empty_to_full(tmp_path: Path, step_bytes: int) -> None:
    """Ever more space, until the job goes through at once."""
    reasons, free = list[str](), 0
    while True:
        with on_a_small_disk(tmp_path) as (world, disk):
            if not (why := settles(world, disk, free)):
                break
        reasons.append(why)
        free += step_bytes
    assert reasons.count("disk_low") >= 3, reasons


def test_a_disk_that_gets_full_holds_the_job_which_goes_on_by_itself(tmp_path: Path) -> None:
    check_from_empty_to_full(tmp_path, 48 * PAGE)


@pytest.mark.soak
@pytest.mark.timeout(0)
def test_a_disk_that_gets_full_at_any_write(tmp_path: Path) -> None:
    check_from_empty_to_full(tmp_path, PAGE)


def test_control_goes_on_without_a_byte_of_space_and_the_reserve_comes_back(tmp_path: Path) -> None:
    with on_a_small_disk(tmp_path) as (world, disk):
        write_library(world)
        world.run()
        job_id = world.jobs.create(world.order(start_paused=True))["id"]
        sweep(world.ledger, Observer(), world.settings)
        reserve = world.settings.data_dir / NAME
        assert reserve.stat().st_blocks * 512 >= RESERVE_BYTES, "the room is promised, not taken"
        disk.leave(0)
        for n in range(30):  # however much of the log is still free
            verb = (Verb.RESUME, Verb.PAUSE)[n % 2]
            assert world.jobs.ask(job_id, verb)["state"] == ("queued", "paused")[n % 2]
        assert world.jobs.ask(job_id, Verb.CANCEL)["state"] == "cancelled"
        disk.leave(MARGIN_BYTES)
        sweep(world.ledger, Observer(), world.settings)
        if not reserve.exists():
            disk.empty()
            sweep(world.ledger, Observer(), world.settings)
        assert reserve.exists()


@contextmanager
def without_room_for_a_beat(world: World, disk: SmallDisk) -> Iterator[None]:
    """A reader keeps the log from being written from its beginning again, so that it is full with the disk."""
    disk.fill()
    with world.ledger.read() as looking:
        workers.alive(looking)
        for size in (100_000, 1):  # fast first, then to the last page
            with pytest.raises(TryAgain, match="disk_low"):
                write_again_and_again(world, size)
        yield


def write_again_and_again(world: World, size: int) -> None:
    for n in range(10_000):
        with world.ledger.write() as c:
            if size > 1:
                workers.register(c, f"worker-{n}", n, "here", {"what": "x" * size})
            metrics.add(c, "ingest_checkpoint_total", 1, service="library")


@contextmanager
def held_on_a_full_disk(tmp_path: Path) -> Iterator[tuple[World, SmallDisk, Lease]]:
    """A lease that was taken before."""
    with on_a_small_disk(tmp_path) as (world, disk):
        write_library(world)
        world.run()
        world.ledger.keep_reserve()
        lease = taken(world, "holder", Observer())
        assert lease is not None
        try:
            with without_room_for_a_beat(world, disk):
                yield world, disk, lease
        finally:
            disk.empty()
            lease.release()


def taken(world: World, holder: str, observer: Observer) -> Lease | None:
    return Lease.take(world.ledger, observer, Wanted(lease_row(world).collection_id), world.files, holder)


def lease_row(world: World) -> Any:
    with world.ledger.read() as c:
        return leases.read(c, collections.by_name(c, "docs").id)


def test_a_beat_takes_the_reserve_only_before_the_lease_would_die(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with held_on_a_full_disk(tmp_path) as (world, _, _lease):
        met, reserve = list[TryAgain](), world.settings.data_dir / NAME
        beat = Lease._beat

        def watched(lease: Lease, insists: bool) -> None:
            try:
                beat(lease, insists)
            except TryAgain as error:
                met.append(error)
                raise

        monkeypatch.setattr(Lease, "_beat", watched)
        wait_for(lambda: len(met) >= 5)
        assert {error.reason for error in met} == {"disk_low"}
        assert reserve.exists(), "it is for pause and cancel"
        before = lease_row(world).beat
        monkeypatch.setattr(lease_module, "LAST_RESORT_SECONDS", 0.0)
        wait_for(lambda: lease_row(world).beat > before)
        assert not reserve.exists()


def test_who_could_not_write_does_not_take_the_holder_for_dead(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        lease_module, "BEAT_SECONDS", 3_600.0
    )  # the holder is later than all that happens here
    with held_on_a_full_disk(tmp_path) as (world, disk, lease):
        row, observer = lease_row(world), Observer()
        observer._seen[row.collection_id] = (row.token, row.beat, time.monotonic(), 2 * DEAD_SECONDS)
        with pytest.raises(TryAgain, match="disk_low"):
            taken(world, "another", observer)
        disk.empty()
        assert taken(world, "another", observer) is None, "the holder has not had the time for a beat"
        assert not lease.lost


def ask_again_and_again(world: World, job_id: str) -> None:
    for n in range(2_000):
        world.jobs.ask(job_id, (Verb.RESUME, Verb.PAUSE)[n % 2])


def test_without_a_reserve_a_full_disk_refuses_and_says_so(tmp_path: Path) -> None:
    with on_a_small_disk(tmp_path) as (world, disk):
        job_id = world.jobs.create(world.order(start_paused=True))["id"]
        (world.settings.data_dir / NAME).unlink(missing_ok=True)
        disk.leave(0)
        with pytest.raises(TryAgain, match="disk_low"):
            ask_again_and_again(world, job_id)


def test_a_disk_that_is_full_at_the_start_is_a_clear_error(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", SIZE_BYTES) as disk:
        (disk.path / "data").mkdir()
        disk.leave(0)
        with pytest.raises((TidestoneError, OSError)) as refused:
            World(disk.path)
        assert "disk_low" in str(refused.value) or "space" in str(refused.value)
        disk.empty()
        shutil.rmtree(disk.path / "data")
        world = World(disk.path)
        world.ledger.close()


def test_a_read_only_folder_is_refused_with_what_to_do_and_works_again_when_it_is_not(tmp_path: Path) -> None:
    with on_a_small_disk(tmp_path) as (world, disk):
        write_library(world)
        world.run()
        world.ledger.close()
        disk.remount("ro")
        try:
            with pytest.raises(Refused, match="cannot be written to: give this user the right"):
                open_ledger(load({"service.data_dir": world.settings.data_dir}))
        finally:
            disk.remount("rw")
        open_ledger(load({"service.data_dir": world.settings.data_dir})).close()
        assert world.run()["progress"]["unchanged"] == 8
