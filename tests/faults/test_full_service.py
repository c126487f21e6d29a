"""The real service on a disk that is really full, or fails: it says so over HTTP, is steered, and goes on by itself."""

import errno
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from service.ledger.reserve import MARGIN_BYTES, NAME, RESERVE_BYTES
from tests.e2e.serving import Serving, serving
from tests.faults.disks import SmallDisk, small_disk
from tests.faults.faulty import faulty_disk
from tests.running import wait_for

SIZE_BYTES = 96 << 20
WATERMARK_BYTES = 24 << 20
PATIENCE_SECONDS = 120.0
DOCUMENTS = 12


@pytest.fixture
def library(tmp_path: Path) -> Path:
    """On a disk that has room."""
    folder = tmp_path / "library"
    folder.mkdir()
    for n in range(DOCUMENTS):
        (folder / f"{n}.txt").write_text(f"Ship {n} came in with the tide, and left when it turned.")
    return folder


@contextmanager
def served(disk: Path, library: Path, **more: str) -> Iterator[Serving]:
    roots = json.dumps({"library": str(library)})
    more |= {"TIDESTONE_SERVICE__LIBRARY_ROOTS": roots, "TIDESTONE_EMBEDDING__CHILDREN": "1"}
    with serving(disk / "data", **more) as service:
        yield service


@contextmanager
def served_on_a_small_disk(
    folder: Path, library: Path, watermark: int
) -> Iterator[tuple[Serving, SmallDisk]]:
    with (
        small_disk(folder / "disk", SIZE_BYTES) as disk,
        served(disk.path, library, TIDESTONE_INGESTION__MIN_FREE_BYTES=str(watermark)) as service,
    ):
        wait_for((disk.path / "data" / NAME).exists, PATIENCE_SECONDS)
        yield service, disk
        disk.empty()


def is_held(job: dict[str, Any]) -> bool:
    return job["state"] == "queued" and (job["reason"] or {}).get("code") == "disk_low"


def check_everything_can_be_looked_at(service: Serving, job_id: str) -> None:
    assert service.http.get("/livez").status_code == 200
    ready = service.http.get("/readyz").raise_for_status().json()
    disk = ready["able_to_ingest"]["disk"]
    assert not disk["ok"]
    assert "are free" in disk["problem"]
    assert len(service.http.get("/v1/jobs").raise_for_status().json()["jobs"]) >= 2
    service.http.get(f"/v1/jobs/{job_id}/items").raise_for_status()
    metrics = service.http.get("/metrics").raise_for_status().text
    free = next(line for line in metrics.splitlines() if line.startswith("ingest_disk_free_bytes"))
    assert float(free.split()[-1]) < RESERVE_BYTES + MARGIN_BYTES


def refusal_of_a_job(service: Serving, library: Path) -> dict[str, Any]:
    body = {"source": {"type": "library", "path": str(library)}, "collection": "another"}
    answer = service.http.post("/v1/jobs", json=body)
    assert answer.status_code == 507, answer.text
    return dict(answer.json())


@pytest.mark.parametrize("watermark", [0, pytest.param(WATERMARK_BYTES, marks=pytest.mark.soak)])
def test_the_service_on_a_full_disk(tmp_path: Path, library: Path, watermark: int) -> None:
    with served_on_a_small_disk(tmp_path, library, watermark) as (service, disk):
        job_id = service.start(library, batch_size=2, start_paused=True)
        other = service.start(library, collection="other", start_paused=True)
        disk.fill()
        service.ask(job_id, "resume")
        service.wait(job_id, is_held, PATIENCE_SECONDS)
        service.ask(job_id, "pause")
        assert service.wait(job_id, lambda job: job["state"] == "paused", PATIENCE_SECONDS)["stage"] == ""
        check_everything_can_be_looked_at(service, job_id)
        service.ask(job_id, "resume")
        service.wait(job_id, is_held, PATIENCE_SECONDS)  # and not on the room that was kept for being asked
        assert service.ask(other, "cancel")["state"] == "cancelled"
        disk.fill()
        check_everything_can_be_looked_at(service, job_id)
        told = refusal_of_a_job(service, library)
        assert (told["title"], told["code"]) == ("Insufficient Storage", "disk_low")
        assert "are wanted" in told["detail"]
        disk.empty()
        done = service.finish(job_id, PATIENCE_SECONDS)
        assert (done["state"], done["progress"]["done"]) == ("succeeded", DOCUMENTS)
        wait_for((disk.path / "data" / NAME).exists, PATIENCE_SECONDS)
        assert service.finish(service.start(library, collection="another"))["state"] == "succeeded"


def test_a_disk_that_fails_is_a_503_and_all_goes_on_when_it_is_mended(
    tmp_path: Path, library: Path, program: Path
) -> None:
    with faulty_disk(program, tmp_path / "faulty") as disk, served(disk.path, library) as service:
        job_id = service.start(library, batch_size=2, start_paused=True)
        disk.fail("write", errno.EIO)
        for url in (f"/v1/jobs/{job_id}/resume", f"/v1/jobs/{job_id}/cancel"):
            refused = service.http.post(url)
            assert (refused.status_code, refused.headers.get("Retry-After")) == (503, "1"), refused.text
            assert refused.json()["code"] == "ledger_unavailable"
        assert service.job(job_id)["state"] == "paused"
        service.http.get("/metrics").raise_for_status()
        disk.mend()
        service.ask(job_id, "resume")
        assert service.finish(job_id, PATIENCE_SECONDS)["progress"]["done"] == DOCUMENTS
