"""Liveness touches nothing; readiness asks the ledger; what cannot ingest says why."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from service.core.space import Space
from service.engine.jobs import Jobs
from service.engine.search import Search
from service.errors import NotFound, Refused, TryAgain
from service.ledger import workers
from service.ledger.database import Ledger, sqlite_url
from service.ports import Embedder
from service.web.app import create_app
from service.web.services import Services
from tests.engine.world import World
from tests.web.conftest import services_of


def test_a_ledger_that_does_not_answer_is_not_ready_but_alive(world: World, tmp_path: Path) -> None:
    broken = Ledger.open(sqlite_url(tmp_path))  # a database without any table
    jobs = Jobs(broken, world.settings, world.jobs.space)
    with TestClient(create_app(services_of(world, jobs=jobs))) as client:
        response = client.get("/readyz")
        assert (response.status_code, response.json()["code"]) == (503, "ledger_unavailable")
        assert response.headers["retry-after"] == "1"
        assert client.get("/livez").status_code == 200
        response = client.get("/metrics")
        assert (response.status_code, response.json()["code"]) == (503, "ledger_unavailable")
    broken.close()


def test_what_keeps_from_ingesting_is_told_and_no_reason_to_be_unready(world: World) -> None:
    world.configure(min_free_bytes=1 << 62)
    with TestClient(create_app(services_of(world, model_problem=lambda: "there is no model"))) as client:
        response = client.get("/readyz")
        able = response.json()["able_to_ingest"]
        assert response.status_code == 200
        assert {name: field["ok"] for name, field in able.items()} == {
            "disk": False,
            "model": False,
            "worker": False,
        }
        assert all(field["problem"] for field in able.values())


def test_a_data_folder_that_is_gone_is_told_and_no_error(world: World, tmp_path: Path) -> None:
    world.configure(data_dir=tmp_path / "gone")
    with TestClient(create_app(services_of(world))) as client:
        response = client.get("/readyz")
        disk = response.json()["able_to_ingest"]["disk"]
        assert (response.status_code, disk["ok"]) == (200, False)
        assert str(tmp_path / "gone") in disk["problem"]
        assert "mount" in disk["problem"]
        metrics = client.get("/metrics")
        assert metrics.status_code == 200
        assert "ingest_items_pending 0.0" in metrics.text
        assert "ingest_disk_free_bytes" not in metrics.text


def test_a_worker_is_alive_while_it_beats_or_holds_a_job(client: TestClient, world: World) -> None:
    def worker() -> bool:
        return bool(client.get("/readyz").json()["able_to_ingest"]["worker"]["ok"])

    with world.ledger.write() as c:
        workers.register(c, "worker-1", 1, "host", {})
    assert worker()
    beaten: list[bool] = []
    world.preparer.before = lambda _: beaten.append(worker())
    world.write("a.txt", "alpha one")
    with world.ledger.write() as c:
        c.exec_driver_sql("UPDATE workers SET beat_at = '2020-01-01T00:00:00+00:00'")
    assert not worker(), "a beat of long ago"
    world.run()
    assert beaten == [True], "it holds a job"
    with world.ledger.write() as c:
        workers.end(c, "worker-1")
    assert not worker()


def test_head_is_answered_as_get_is_without_a_body(client: TestClient) -> None:
    for path in ("/livez", "/readyz"):
        response = client.head(path)
        assert (response.status_code, response.content) == (200, b"")


def test_ingestion_that_is_switched_off_is_told_as_such(world: World) -> None:
    with TestClient(create_app(services_of(world, ingestion_enabled=False))) as client:
        worker = client.get("/readyz").json()["able_to_ingest"]["worker"]
    assert worker == {"ok": False, "problem": "ingestion is disabled: set ingestion.enabled = true"}


def test_the_version_is_told(client: TestClient) -> None:
    assert client.get("/v1/version").json() == {"name": "tidestone", "version": "1.2.3"}


@pytest.mark.parametrize(
    ("reason", "status", "retry"), [("disk_low", 507, None), ("ledger_busy", 503, "1"), ("other", 503, "1")]
)
def test_a_passing_condition_says_so(world: World, reason: str, status: int, retry: str | None) -> None:
    def space() -> tuple[Space, str]:
        raise TryAgain(reason, "for now")

    jobs = Jobs(world.ledger, world.settings, space)
    with TestClient(create_app(services_of(world, jobs=jobs))) as client:
        response = client.post("/v1/jobs", json={"source": {"type": "library"}})
    assert (response.status_code, response.json()["code"]) == (status, reason)
    assert response.headers.get("retry-after") == retry


@pytest.mark.parametrize(
    "error", [Refused("There is no model: build it."), NotFound("model", "x"), PermissionError(13, "x")]
)
def test_without_a_model_a_job_is_not_refused_but_cannot_be_made_yet(world: World, error: Exception) -> None:
    def space() -> tuple[Space, str]:
        raise error

    jobs = Jobs(world.ledger, world.settings, space)
    with TestClient(create_app(services_of(world, jobs=jobs))) as client:
        response = client.post("/v1/jobs", json={"source": {"type": "library"}})
    assert (response.status_code, response.json()["code"]) == (503, "not_ready")
    assert response.json()["detail"] == str(error)
    assert int(response.headers["retry-after"]) >= 1


def test_without_a_model_a_text_cannot_be_searched_for_yet(world: World) -> None:
    def no_model() -> Embedder:
        raise Refused("There is no model: build it.")

    world.write("a.txt", "alpha one")
    world.run()
    search = Search(world.ledger, world.settings, no_model)
    with TestClient(create_app(services_of(world, make_search=lambda: search))) as client:
        response = client.post("/v1/collections/docs/search", json={"text": "alpha"})
    assert (response.status_code, response.json()["code"]) == (503, "not_ready")
    assert "build it" in response.json()["detail"]


def test_what_nobody_expected_is_a_problem_without_a_trace_of_the_inside(world: World) -> None:
    def space() -> tuple[Space, str]:
        raise RuntimeError("secret")

    jobs = Jobs(world.ledger, world.settings, space)
    app = create_app(services_of(world, jobs=jobs))
    with TestClient(app, raise_server_exceptions=False) as client:
        response = client.post("/v1/jobs", json={"source": {"type": "library"}})
    assert (response.status_code, response.json()["code"]) == (500, "unexpected")
    assert "secret" not in response.text


def test_every_route_documents_its_answers_and_its_refusals(services: Services) -> None:
    document = create_app(services).openapi()
    ids = []
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            ids.append(operation["operationId"])
            assert operation["description"], (method, path)
            for status, response in operation["responses"].items():
                if int(status) >= 400:
                    assert list(response["content"]) == ["application/problem+json"], (method, path, status)
            if path.startswith("/v1/"):
                assert "Retry-After" in operation["responses"]["429"]["headers"], (method, path)
            if "{" in path:
                assert "404" in operation["responses"], (method, path)
    assert len(ids) == len(set(ids))


def test_serving_jobs_never_loads_faiss_numpy_or_a_model(tmp_path: Path) -> None:
    """In a process of its own: this one has loaded them all."""
    script = f"""
import json, sys
from pathlib import Path
import uvicorn
from starlette.testclient import TestClient
from service.core.space import Space
from service.core.space import Space
from service.engine.jobs import Jobs
from service.engine.settings import EngineSettings
from service.ledger.database import Ledger, sqlite_url
from service.ledger.migrate import migrate
from service.web.app import create_app
from service.web.services import Services

folder = Path({str(tmp_path)!r})
ledger = Ledger.open(sqlite_url(folder))
migrate(ledger)
space = Space("m", "float", 4, "mean", True, "", "", 512)
jobs = Jobs(ledger, EngineSettings(folder), lambda: (space, "f32"))
with TestClient(create_app(Services(jobs, lambda: None, "1"))) as client:
    job = client.post("/v1/jobs", json={{"source": {{"type": "library", "path": str(folder)}}}}).json()
    for link in ("self", "items", "checkpoints", "pause", "cancel", "events"):
        ask = client.post if link in ("pause", "cancel") else client.get
        assert ask(job["links"][link]).status_code in (200, 202), link
    for path in ("", "/default", "/default/generation", "/default/documents", "/default/checkpoints"):
        assert client.get("/v1/collections" + path).status_code == 200, path
    for path in ("/livez", "/readyz", "/metrics", "/v1/version", "/openapi.json"):
        assert client.get(path).status_code == 200, path
smaps = Path("/proc/self/smaps_rollup").read_text()
pss = next(int(line.split()[1]) for line in smaps.splitlines() if line.startswith("Pss:"))
heavy = {{"faiss", "numpy", "llama_cpp", "gguf", "pypdfium2", "tokenizers", "trafilatura"}}
print(json.dumps({{"heavy": sorted(heavy & set(sys.modules)), "pss_kb": pss}}))
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, env=dict(os.environ), check=False
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["heavy"] == []
    assert found["pss_kb"] < 120 * 1024, "the API process and a worker share 300 MB"
