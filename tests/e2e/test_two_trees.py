"""Two whole services on one data folder: whatever one of them suffers, every document is there once."""

import fcntl
import os
import signal
import sqlite3
import threading
import time
from collections.abc import Collection, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path

import httpx
import pytest

from tests.e2e.real import (
    PATIENCE_SECONDS,
    QUICK,
    SAMPLES,
    Contents,
    Run,
    check_equal,
    descendants,
    kill,
    uninterrupted,
    wait_for_commits,
)
from tests.e2e.serving import Serving, serving

pytestmark = pytest.mark.timeout(600)
COLLECTION = "default"


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sixty documents of two or three chunks: a dozen checkpoints."""
    made = tmp_path_factory.mktemp("sixty") / "library"
    made.mkdir()
    with (SAMPLES / "almanac/tide-gauge-almanac.txt").open() as almanac:
        for number in range(60):
            path = made / f"{number:02}.txt"
            path.write_text(f"Part {number}\n\n{almanac.read(1_500)}")
            os.utime(path, (1_600_000_000, 1_600_000_000))
    return made


@pytest.fixture(scope="module")
def truth(library: Path, tmp_path_factory: pytest.TempPathFactory) -> Contents:
    return uninterrupted(library, tmp_path_factory.mktemp("truth") / "data")


@pytest.fixture
def two(run: Run) -> Iterator[tuple[Serving, Serving]]:
    with ExitStack() as stack:
        one, other = (stack.enter_context(serving(run.data, **QUICK)) for _ in range(2))
        run.process = one.process
        yield one, other


def tree(service: Serving) -> list[int]:
    return [service.process.pid, *descendants(service.process.pid)]


@contextmanager
def frozen(service: Serving, data: Path) -> Iterator[None]:
    """All of its processes stand still meanwhile, none of them inside a step for which everybody has to wait."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    _stop(service)
    try:
        while not _others_can_write(data):
            assert time.monotonic() < deadline, "it never stood anywhere else"
            _signal(tree(service), signal.SIGCONT)
            time.sleep(0.05)
            _stop(service)
        yield
    finally:
        _signal(tree(service), signal.SIGCONT)


def _stop(service: Serving) -> None:
    """A process may start another one before its turn comes."""
    stopped: set[int] = set()
    while more := set(tree(service)) - stopped:
        _signal(more, signal.SIGSTOP)
        stopped |= more


def _signal(pids: Collection[int], number: signal.Signals) -> None:
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, number)


def _others_can_write(data: Path) -> bool:
    try:
        with closing(sqlite3.connect(data / "tidestone.db", timeout=1.0, isolation_level=None)) as ledger:
            ledger.execute("BEGIN IMMEDIATE")
            ledger.execute("ROLLBACK")
        with (data / "collections" / COLLECTION / "publish.lock").open("rb") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (sqlite3.OperationalError, BlockingIOError):
        return False
    return True


def is_at_work(service: Serving, run: Run) -> bool:
    """Whether it is a process of this service that holds the collection."""
    held = f":{(run.data / 'collections' / COLLECTION / 'writer.lock').stat().st_ino} "
    locks = [line.split() for line in Path("/proc/locks").read_text().splitlines() if held in line]
    return any(int(fields[fields.index("FLOCK") + 3]) in tree(service) for fields in locks)


def end_of(service: Serving, job_id: str) -> str:
    """See a job through, taken up again where its worker is gone."""
    job = service.wait(job_id, lambda job: job["state"] not in ("queued", "running", "pausing"), 300)
    if job["can"]["resume"]:
        service.ask(job_id, "resume")
        job = service.finish(job_id, 300)
    return str(job["state"])


def test_the_same_job_asked_of_both_at_once_is_done_once(
    run: Run, two: tuple[Serving, Serving], truth: Contents
) -> None:
    answers: list[httpx.Response] = []
    body = {"source": {"type": "library", "path": str(run.library)}}

    def ask(service: Serving) -> None:
        answers.append(service.http.post("/v1/jobs", json=body))

    asking = [threading.Thread(target=ask, args=(service,)) for service in two]
    for thread in asking:
        thread.start()
    for thread in asking:
        thread.join()
    assert sorted(answer.status_code for answer in answers) == [202, 409]
    [accepted] = [answer.json()["id"] for answer in answers if answer.status_code == 202]
    assert two[0].finish(accepted, 300)["state"] == two[1].job(accepted)["state"] == "succeeded"
    check_equal(run.contents(), truth)


def test_one_is_killed_and_the_other_goes_on(run: Run, two: tuple[Serving, Serving], truth: Contents) -> None:
    one, other = two
    job_id = one.start(run.library)
    wait_for_commits(run, 1)
    for pid in tree(one):
        kill(pid)
    assert end_of(other, job_id) == "succeeded"
    check_equal(run.contents(), truth)


def test_one_is_frozen_and_wakes_when_the_other_has_done_its_job(
    run: Run, two: tuple[Serving, Serving], truth: Contents
) -> None:
    one, other = two
    job_id = one.start(run.library)
    wait_for_commits(run, 1)
    holder, heir = (one, other) if is_at_work(one, run) else (other, one)
    with frozen(holder, run.data):
        assert is_at_work(holder, run), "it has to be frozen in the middle of its work"
        before = heir.job(job_id)
        assert end_of(heir, job_id) == "succeeded"
        assert before["state"] == "running"
        assert heir.job(job_id)["attempt"] > before["attempt"]
        check_equal(run.contents(), truth)
        generation = run.generation
    assert holder.finish(holder.start(run.library), 300)["state"] == "succeeded"
    assert run.generation >= generation
    check_equal(run.contents(), truth)
    assert heir.http.post(f"/v1/collections/{COLLECTION}/verify").raise_for_status().json()["valid"]


def test_while_somebody_keeps_the_ledger_readers_go_on_and_others_are_told_to_come_back(
    run: Run, two: tuple[Serving, Serving]
) -> None:
    """A process that is frozen inside a transaction has everybody wait, whatever they do; nobody waits for ever."""
    service = two[0]
    body = {"source": {"type": "library", "path": str(run.library)}, "start_paused": True}
    with closing(sqlite3.connect(run.data / "tidestone.db", timeout=60.0, isolation_level=None)) as frozen:
        frozen.execute("BEGIN IMMEDIATE")
        for path in ("/readyz", "/metrics", "/v1/jobs", "/v1/collections"):
            service.http.get(path).raise_for_status()
        refused = service.http.post("/v1/jobs", json=body, timeout=PATIENCE_SECONDS)
        assert (refused.status_code, refused.json()["code"]) == (503, "ledger_busy"), refused.text
        assert int(refused.headers["retry-after"]) > 0
        frozen.execute("ROLLBACK")
    assert service.http.post("/v1/jobs", json=body).raise_for_status().json()["state"] == "paused"


def test_a_collection_is_deleted_by_one_while_the_other_fills_it_and_made_again(
    run: Run, two: tuple[Serving, Serving], truth: Contents
) -> None:
    one, other = two
    first = one.start(run.library)
    wait_for_commits(run, 1)
    other.http.delete(f"/v1/collections/{COLLECTION}", params={"wait": 60}).raise_for_status()
    assert one.http.get(f"/v1/jobs/{first}").status_code == 404
    second = other.start(run.library)
    assert end_of(one, second) == "succeeded"
    check_equal(run.contents(), truth)
