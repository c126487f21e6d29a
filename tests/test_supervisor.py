"""The service and its worker as processes: deaths, restarts, orderly ends."""

import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import httpx2
import pytest

from service.app import make_jobs
from service.data_folder import open_ledger
from service.engine.jobs import Jobs, Order
from service.ledger import workers
from service.settings import load
from tests.running import (
    FROZEN_AFTER_A_COMMIT,
    REPOSITORY,
    Place,
    children_of,
    ended,
    frozen,
    state_of,
    wait_for,
)

DOCUMENTS = 60

# An init that is told to be one, under which a process is orphaned: it must be reaped, and no signal be lost.
_INIT = """
import ctypes, os, sys, time
ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)  # orphans below come to this process, as to process 1
from service.pid1 import split
split()
if os.fork() == 0:
    if os.fork() == 0:
        os._exit(0)  # its parent has gone before: an orphan
    os._exit(0)
os.wait()
print(os.getpid(), flush=True)
time.sleep(60)
"""


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    with closing(
        Place(tmp_path, {"INGESTION_BATCH_SIZE": "4", "TIDESTONE_EMBEDDING__CHILDREN": "1"})
    ) as made:
        made.settings["TIDESTONE_SERVICE__PORT"] = "0"
        made.write(DOCUMENTS, sentences=8)
        yield made


@pytest.fixture
def jobs(place: Place, monkeypatch: pytest.MonkeyPatch) -> Iterator[Jobs]:
    """The place's jobs, seen from this process."""
    monkeypatch.setenv("TIDESTONE_EMBEDDING__MODEL_PATH", place.settings["TIDESTONE_EMBEDDING__MODEL_PATH"])
    settings = load({"service.data_dir": place.data})
    with closing(open_ledger(settings)) as ledger:
        yield make_jobs(settings, ledger)


@pytest.fixture
def job(place: Place, jobs: Jobs) -> str:
    """A queued job."""
    return str(jobs.create(Order("default", place.library, "library"))["id"])


def served_at(service: "subprocess.Popen[str]") -> str:
    """The URL that the service says it listens on."""
    assert service.stderr is not None
    told = re.search(r"serving on (\S+)", service.stderr.readline())
    assert told is not None
    return told[1]


def _worker_of(service: "subprocess.Popen[str]") -> int:
    return int(wait_for(lambda: children_of(service.pid))[0])


def _state(jobs: Jobs, job: str, *wanted: str) -> str:
    """The job's state, as soon as it is one of those."""

    def reached() -> str:
        state = jobs.get(job)["state"]
        return str(state) if state in wanted else ""

    return str(wait_for(reached, 60))


def _beats(jobs: Jobs) -> bool:
    """Whether a worker looks for work."""
    with jobs.ledger.read() as c:
        return any(worker.beat_at > worker.started_at for worker in workers.alive(c))


def test_a_killed_worker_is_replaced_and_the_job_goes_on(place: Place, jobs: Jobs, job: str) -> None:
    service = place.start("serve")
    first = _worker_of(service)
    wait_for(lambda: jobs.get(job)["last_checkpoint"])
    os.kill(first, signal.SIGKILL)
    second = wait_for(lambda: [pid for pid in children_of(service.pid) if pid != first])
    assert _state(jobs, job, "succeeded", "interrupted", "failed") == "succeeded"
    view = jobs.get(job)
    assert (view["attempt"], view["progress"]["done"]) == (2, DOCUMENTS)
    assert children_of(service.pid) == second
    code, _, err = ended(service, signal.SIGTERM)
    assert (code, "status -9" in err) == (0, True)


def test_sigterm_saves_a_checkpoint_and_only_auto_resume_goes_on_by_itself(
    place: Place, jobs: Jobs, job: str
) -> None:
    service = place.start("serve")
    worker = _worker_of(service)
    wait_for(lambda: jobs.get(job)["last_checkpoint"])
    code, _, err = ended(service, signal.SIGTERM)
    assert (code, state_of(worker)) == (0, ""), err
    view = jobs.get(job)
    assert (view["state"], view["reason"]["code"]) == ("interrupted", "stopped")
    assert view["paused_at_checkpoint"] == view["last_checkpoint"]["generation"]

    again = place.start("serve")
    wait_for(lambda: _beats(jobs))
    assert jobs.get(job)["state"] == "interrupted"
    assert ended(again, signal.SIGTERM)[0] == 0

    eager = place.start("serve", TIDESTONE_SERVICE__AUTO_RESUME="true")
    assert _state(jobs, job, "succeeded", "failed") == "succeeded"
    assert ended(eager, signal.SIGTERM)[0] == 0


def test_a_killed_service_takes_its_worker_with_it_but_not_its_checkpoint(
    place: Place, jobs: Jobs, job: str
) -> None:
    service = place.start("serve")
    worker = _worker_of(service)
    wait_for(lambda: jobs.get(job)["last_checkpoint"])
    service.kill()
    service.wait()
    wait_for(lambda: state_of(worker) in ("", "Z"))
    assert jobs.get(job)["reason"]["code"] == "stopped"
    assert ended(service)[0] == -signal.SIGKILL


def test_a_worker_that_dies_again_and_again_is_not_given_the_job_for_ever(
    place: Place, jobs: Jobs, job: str
) -> None:
    service = place.start("serve", TIDESTONE_FAILPOINTS="ledger.before=kill@1")
    assert _state(jobs, job, "interrupted", "succeeded") == "interrupted"
    assert "again and again" in jobs.get(job)["reason"]["message"]
    assert ended(service, signal.SIGTERM)[0] == 0


def test_a_port_that_is_taken_is_an_error_that_says_so_and_starts_nothing(place: Place) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        done = place.run("serve", "--port", port)
    assert (done.returncode, done.stdout, len(done.stderr.splitlines())) == (1, "", 1), done.stderr
    assert f"127.0.0.1:{port}" in done.stderr
    assert "--port" in done.stderr


def test_an_open_stream_is_ended_properly_when_the_service_stops(place: Place, jobs: Jobs, job: str) -> None:
    service = place.start("serve", "--no-worker")
    url = served_at(service)
    with httpx2.Client(timeout=10) as client, client.stream("GET", f"{url}/v1/jobs/{job}/events") as stream:
        lines = stream.iter_lines()
        assert next(lines) == "event: reset"
        service.send_signal(signal.SIGTERM)
        assert list(lines)[-1] == "", "the stream is whole, or reading it would raise"
    code, _, err = ended(service)
    assert (code, "[error" in err, "Traceback" in err) == (0, False, False), err


def test_a_worker_of_its_own_stops_with_a_checkpoint_and_exit_0(place: Place, jobs: Jobs, job: str) -> None:
    worker = frozen(place.start("worker", **FROZEN_AFTER_A_COMMIT))
    worker.send_signal(signal.SIGTERM)
    code, out, err = ended(worker, signal.SIGCONT)
    assert (code, out) == (0, ""), err
    assert jobs.get(job)["state"] == "interrupted"


def test_every_line_about_a_job_bears_its_id(place: Place, jobs: Jobs, job: str) -> None:
    with jobs.ledger.write() as c:
        c.exec_driver_sql("DROP TABLE items")  # nothing that a worker is prepared for
    worker = place.start("worker", TIDESTONE_SERVICE__LOG_FORMAT="json")
    assert worker.stderr is not None
    line = worker.stderr.readline()
    assert f'"job": "{job}"' in line
    assert '"level": "error"' in line
    ended(worker, signal.SIGTERM)


def test_process_1_passes_signals_on_reaps_orphans_and_ends_as_its_child_ends() -> None:
    init = subprocess.Popen([sys.executable, "-c", _INIT], stdout=subprocess.PIPE, text=True, cwd=REPOSITORY)
    assert init.stdout is not None
    child = int(init.stdout.readline())
    wait_for(lambda: children_of(init.pid) == [child])
    init.send_signal(signal.SIGTERM)
    init.communicate(timeout=10)
    assert (init.returncode, state_of(child)) == (128 + signal.SIGTERM, "")
