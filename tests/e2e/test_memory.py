"""A container's memory limit ends children first, then the worker, the API last; and a bloating document alone fails."""

import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from service.children import CHILD_GOES, WORKER_GOES
from tests.e2e.memory_limit import Group, group
from tests.e2e.serving import Serving, serving

ROOM_BYTES = 220 << 20  # beside what the service has in use when it has done a first job
_BLOAT = 300_000  # repetitions: some 6 MB of markup, of which a parser makes more than a gigabyte


@pytest.fixture
def limited(tmp_path: Path) -> Iterator[tuple[Serving, Group]]:
    """A service that has ingested a few documents, and may from now on take a little more memory than that took."""
    library = small_library(tmp_path / "first", 5)
    with group() as limit, serving(tmp_path / "data") as service:
        limit.join(service.process.pid)
        for pid in children_of(service.process.pid):
            limit.join(pid)
        first = service.start(library, collection="first")
        assert service.finish(first)["state"] == "succeeded"
        limit.limit(limit.usage() + ROOM_BYTES)
        yield service, limit


def small_library(folder: Path, count: int) -> Path:
    folder.mkdir()
    for n in range(count):
        (folder / f"{n}.txt").write_text(f"Document number {n} is about the tide at pier {n}.")
    return folder


def children_of(pid: int) -> list[int]:
    found = subprocess.run(
        ["pgrep", "-P", str(pid)], capture_output=True, text=True, check=False
    ).stdout.split()
    return [int(child) for child in found] + [g for child in found for g in children_of(int(child))]


def score(pid: int) -> int:
    return int(Path(f"/proc/{pid}/oom_score_adj").read_text())


def test_a_document_that_needs_more_memory_than_there_is_fails_alone(
    limited: tuple[Serving, Group], tmp_path: Path
) -> None:
    service, limit = limited
    library = small_library(tmp_path / "library", 12)
    markup = "<p>word<b>x</b></p>" * _BLOAT
    (library / "bloat.html").write_text(f"<html><body>{markup}</body></html>")
    worker = children_of(service.process.pid)[0]
    job_id = service.start(library)
    job = service.finish(job_id, seconds=300)
    assert job["state"] == "completed_with_errors", job
    assert (job["progress"]["done"], job["progress"]["failed"]) == (12, 1)
    failed = service.http.get(f"/v1/jobs/{job_id}/items", params={"state": "failed"}).json()["items"]
    assert [item["path"] for item in failed] == ["bloat.html"]
    assert limit.killed() >= 1, "the limit was not reached"
    assert worker in limit.processes(), "the worker was ended before its child"
    assert service.process.poll() is None
    assert service.http.post("/v1/collections/default/verify").json()["valid"]


def test_the_api_goes_last_and_children_first(tmp_path: Path) -> None:
    with serving(tmp_path / "data") as service:
        library = small_library(tmp_path / "library", 40)
        service.start(library)
        deadline = time.monotonic() + 60
        while len(found := children_of(service.process.pid)) < 3:
            assert time.monotonic() < deadline, "no child was started"
            time.sleep(0.02)
        worker, *others = found
        deadline = time.monotonic() + 60
        while {score(pid) for pid in others if Path(f"/proc/{pid}").exists()} != {CHILD_GOES}:
            assert time.monotonic() < deadline, "a child has not put itself first"
            time.sleep(0.02)
        assert (score(worker), score(service.process.pid)) == (WORKER_GOES, score(os.getpid()))
