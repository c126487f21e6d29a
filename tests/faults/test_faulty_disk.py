"""A disk that fails calls of ours holds a job, or is told clearly, and nothing is lost or doubled when it is mended."""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from service.engine.lease import Observer
from service.engine.sweep import sweep
from service.errors import TryAgain
from service.ledger.filesystem import require_safe, type_of
from tests.engine.world import World
from tests.faults.faulty import FOREVER, KINDS, FaultyDisk, faulty_disk

TRIES = 4
pytestmark = pytest.mark.usefixtures("quick")


@contextmanager
def on_a_faulty_disk(program: Path, folder: Path) -> Iterator[tuple[World, FaultyDisk]]:
    """A world with documents, whose data is on the faulty disk; the library is elsewhere."""
    (folder / "library").mkdir(parents=True)
    with faulty_disk(program, folder / "faulty") as disk:
        (disk.path / "library").symlink_to(folder / "library")
        world = World(disk.path)
        world.configure(batch_size=2, max_live_segments=2)
        for n in range(6):
            world.write(f"{n}.txt", f"document {n} says this\n\nand its second part {n}")
        try:
            yield world, disk
        finally:
            disk.mend()
            world.ledger.close()


def attempt(world: World) -> None:
    """One worker's try, as its process would go about it: a passing condition is met, nothing else may be raised."""
    worker = world.worker("worker-of-the-test", dead_seconds=0.0)
    try:
        worker.take_one()
    except TryAgain as error:
        with suppress(TryAgain):
            worker._let_go(error)


def goes_through(world: World, job_id: str) -> dict[str, Any]:
    """What becomes of the job on the mended disk, without anybody's help."""
    for _ in range(TRIES):
        job = world.jobs.get(job_id)
        if job["state"] != "queued":
            break
        attempt(world)
        sweep(world.ledger, Observer(0.0), world.settings)
    return world.jobs.get(job_id)


def check_one_fault(program: Path, folder: Path, kind: str, error: int, first: int, last: int) -> bool:
    """Fail these calls while a job runs; whether any of them was met at all."""
    with on_a_faulty_disk(program, folder) as (world, disk):
        job_id = world.jobs.create(world.order())["id"]
        worker = world.worker("worker-of-the-test", dead_seconds=0.0)
        disk.fail(kind, error, first, last)
        try:
            worker.take_one()
        except TryAgain as error:
            with suppress(TryAgain):
                worker._let_go(error)
        disk.mend()
        worker._let_go(TryAgain("io_error"))
        held = world.jobs.get(job_id)
        met = held["state"] != "succeeded"
        assert (held["reason"] or {}).get("code") != "unexpected", held
        job = goes_through(world, job_id)
        assert job["state"] == "succeeded", job
        assert world.contents() == world.expected()
        assert world.verify()["valid"], world.verify()
    return met


@pytest.mark.parametrize("error", [errno.EIO, errno.ENOSPC], ids=["EIO", "ENOSPC"])
@pytest.mark.parametrize("kind", KINDS[:5])
def test_calls_that_fail_hold_the_job_which_goes_on_by_itself(
    program: Path, tmp_path: Path, kind: str, error: int
) -> None:
    for n in (2, 11):
        check_one_fault(program, tmp_path / f"for-good-{n}", kind, error, n, FOREVER)
        check_one_fault(program, tmp_path / f"once-{n}", kind, error, n, n)


@pytest.mark.soak
@pytest.mark.timeout(0)
@pytest.mark.parametrize("error", [errno.EIO, errno.ENOSPC], ids=["EIO", "ENOSPC"])
@pytest.mark.parametrize("kind", KINDS[:5])
def test_any_one_call_that_fails(program: Path, tmp_path: Path, kind: str, error: int) -> None:
    n, quiet = 1, 0
    while quiet < 10:  # a fault that is not met is one that the work survived, or one behind its end
        met = check_one_fault(program, tmp_path / str(n), kind, error, n, n)
        n, quiet = n + 1, 0 if met else quiet + 1


def test_a_ledger_that_could_not_be_opened_for_writing_can_be_written_again(
    program: Path, tmp_path: Path
) -> None:
    """SQLite opens for reading what it cannot open for writing, and keeps it so."""
    with on_a_faulty_disk(program, tmp_path) as (world, disk):
        world.ledger.close()
        disk.fail("open", errno.EIO, 1, 1)
        with pytest.raises(TryAgain, match="not_writable"):
            world.jobs.create(world.order())
        disk.mend()
        assert world.run()["state"] == "succeeded"


def test_a_local_fuse_file_system_is_known_by_its_name_and_allowed(program: Path, tmp_path: Path) -> None:
    with faulty_disk(program, tmp_path) as disk:
        assert type_of(disk.path, Path("/proc/self/mountinfo").read_text()) == "fuse.faulty"
        require_safe(disk.path)
        assert os.listdir(disk.path) == []
