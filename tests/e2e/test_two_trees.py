"""Two whole services on one data folder: whatever one of them suffers, every document is there once."""

import os
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest

from tests.e2e.real import (
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
