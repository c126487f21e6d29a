"""A clock that is set by hours, in either direction, while a job runs: nobody waits for hours, and nobody loses a lease."""

import json
import os
import resource
import shutil
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.disks import not_here
from tests.running import Place, ended, wait_for

SOURCE = Path(__file__).parent / "clock.c"
HOURS = 3_600


class Clock:
    """The wall clock of every process that is started with `environment`."""

    def __init__(self, folder: Path) -> None:
        compiler = shutil.which("cc") or shutil.which("gcc")
        if compiler is None:
            not_here("a C compiler is needed")
        library, self.file = folder / "clock.so", folder / "shift"
        self.set(0)
        command = [str(compiler), "-shared", "-fPIC", "-O2", "-o", str(library), str(SOURCE), "-ldl"]
        subprocess.run(command, check=True)
        self.environment = {"LD_PRELOAD": str(library), "CLOCK_SHIFT": str(self.file)}

    def set(self, seconds: int) -> None:
        """From now on it is so much later."""
        data = struct.pack("<q", seconds)
        if not self.file.exists():
            self.file.write_bytes(data)
        with self.file.open("r+b") as file:
            file.write(data)


def test_the_clock_of_a_process_is_really_stepped(tmp_path: Path) -> None:
    clock = Clock(tmp_path)
    clock.set(5 * HOURS)
    show = [sys.executable, "-c", "import time; print(time.time())"]
    environment = {**os.environ, **clock.environment}
    told = subprocess.run(show, env=environment, capture_output=True, text=True, check=True).stdout
    assert 4 * HOURS < float(told) - time.time() < 6 * HOURS


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    made = Place(tmp_path)
    yield made
    made.close()


def checkpoints(place: Place) -> int:
    done = place.run("checkpoints", "--json")
    return len(json.loads(done.stdout)["checkpoints"]) if done.returncode == 0 else 0


@pytest.mark.parametrize("hours", [-5, 5], ids=["back", "forward"])
def test_a_step_while_a_job_runs_changes_nothing(place: Place, tmp_path: Path, hours: int) -> None:
    place.write(60, sentences=8)
    clock = Clock(tmp_path)
    job = place.start("ingest", "library", "--batch-size", "5", "--json", **clock.environment)
    wait_for(lambda: checkpoints(place) >= 2)
    clock.set(hours * HOURS)
    follower = place.start("ingest", "library", "--json", **clock.environment)  # who watches the lease
    code, out, err = ended(job)
    assert code == 0, err
    told = json.loads(out)["job"]
    assert (told["state"], told["attempt"], told["progress"]["done"]) == ("succeeded", 1, 60)
    assert ended(follower)[0] == 0
    assert place.run("verify").returncode == 0
    clock.set(0)  # and it is set right again
    again = place.run("ingest", "library", "--json", **clock.environment)
    assert (again.returncode, json.loads(again.stdout)["job"]["progress"]["unchanged"]) == (0, 60)


def test_too_few_open_files_is_a_passing_condition(place: Place) -> None:
    """The job holds, says what to do, and goes through when there are enough."""
    place.write(30)
    assert place.run("ingest", "library").returncode == 0
    place.write(60)
    process = place.start("ingest", "library", "--json")
    wait_for(
        lambda: Path(f"/proc/{process.pid}/fd").exists() and any(Path(f"/proc/{process.pid}/fd").iterdir())
    )
    _, most = resource.prlimit(process.pid, resource.RLIMIT_NOFILE)
    resource.prlimit(process.pid, resource.RLIMIT_NOFILE, (3, most))
    wait_for(lambda: process.poll() is not None or _reason(place) is not None, seconds=60)
    resource.prlimit(process.pid, resource.RLIMIT_NOFILE, (most, most)) if process.poll() is None else None
    ended(process)
    done = place.run("ingest", "library", "--json")
    assert done.returncode == 0, done.stderr
    assert place.run("verify").returncode == 0
    assert place.ask("status")["collections"][0]["documents"] == 60


def _reason(place: Place) -> str | None:
    done = place.run("status", "--json")
    jobs = json.loads(done.stdout)["jobs"] if done.returncode == 0 else []
    return jobs[0]["reason"] and str(jobs[0]["reason"]["code"]) if jobs else None
