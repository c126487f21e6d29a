"""Pause is a contract: within two seconds, in every stage, at a checkpoint that makes it safe to switch off."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from service.reader import Collection
from tests.e2e.serving import Serving, serving
from tests.parsers.makers import pdf

PAUSE_SECONDS = 2.0
SAMPLES = Path(__file__).parent.parent.parent / "deploy" / "sample-library"


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Serving]:
    with serving(tmp_path / "data") as running:
        yield running


def pause_and_resume(service: Serving, tmp_path: Path, job_id: str) -> None:
    """Pause, hold it to its promise, resume, and see the job through."""
    asked = time.monotonic()
    service.ask(job_id, "pause")
    job = service.wait(job_id, lambda job: job["state"] != "pausing")
    took = time.monotonic() - asked
    assert job["state"] == "paused", job
    assert took < PAUSE_SECONDS
    collections = service.http.get("/v1/collections").json()["collections"]
    assert job["paused_at_checkpoint"] == collections[0]["generation"]
    assert job["can"] == {"pause": False, "resume": True, "cancel": True, "retry": False}
    service.ask(job_id, "resume")
    assert service.finish(job_id)["state"] == "succeeded"
    report = service.http.post("/v1/collections/default/verify").json()
    assert report["valid"], report


def test_while_a_pdf_of_400_pages_is_parsed(service: Serving, tmp_path: Path) -> None:
    library = tmp_path / "library"
    library.mkdir()
    sentence = "The tide on page {} of this long report rises through line {} and falls again by evening."
    pages = [[sentence.format(page, line) for line in range(40)] for page in range(400)]
    (library / "report.pdf").write_bytes(pdf(pages))
    job_id = service.start(library)
    service.wait(job_id, lambda job: job["stage"] == "embed")
    time.sleep(0.1)
    asked = time.monotonic()
    service.ask(job_id, "pause")
    job = service.wait(job_id, lambda job: job["state"] != "pausing")
    assert job["state"] == "paused", job
    assert time.monotonic() - asked < PAUSE_SECONDS
    service.ask(job_id, "cancel")


def test_while_a_huge_tree_is_listed(service: Serving, tmp_path: Path) -> None:
    library = tmp_path / "library"
    for folder in range(500):
        (library / f"f{folder}").mkdir(parents=True)
        for file in range(300):
            (library / f"f{folder}/{file}.txt").touch()
    job_id = service.start(library)
    service.wait(job_id, lambda job: job["stage"] == "list" and job["progress"]["discovered"] > 0)
    asked = time.monotonic()
    service.ask(job_id, "pause")
    job = service.wait(job_id, lambda job: job["state"] != "pausing")
    assert job["state"] == "paused", job
    assert time.monotonic() - asked < PAUSE_SECONDS
    assert job["progress"]["total"] is None, "it was not paused in the listing"


def test_while_real_text_is_embedded(service: Serving, tmp_path: Path) -> None:
    job_id = service.start(SAMPLES / "handbook", batch_size=2)
    service.wait(job_id, lambda job: job["progress"]["done"] > 0)
    pause_and_resume(service, tmp_path, job_id)
    rows = [(row.key, row.ordinal) for row in Collection.open(tmp_path / "data/collections/default").rows()]
    assert len(rows) == len(set(rows))
