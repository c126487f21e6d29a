"""Another model over REST: a job as every other, made where there is something to do."""

from dataclasses import replace

import pytest
from starlette.testclient import TestClient

from service.selftest.fake_embedder import FAKE_SPACE, FakeEmbedder
from service.web import models
from service.web.app import create_app
from tests.engine.world import World
from tests.web.conftest import services_of

REINDEX = "/v1/collections/docs/reindex"


@pytest.fixture
def moved(world: World) -> TestClient:
    """The service over a collection of another model."""
    world.write("a.txt", "alpha one\n\nalpha two")
    world.run()
    world.embedder = FakeEmbedder(replace(FAKE_SPACE, model="fake@1", dimensions=24))
    return TestClient(create_app(services_of(world)))


def test_a_job_is_refused_with_what_to_do_and_what_to_do_is_a_job(moved: TestClient, world: World) -> None:
    with moved as client:
        order = {"collection": "docs", "source": {"type": "library", "root": "library"}}
        refused = client.post("/v1/jobs", json=order)
        assert (refused.status_code, "tidestone reindex" in refused.json()["detail"]) == (409, True)
        asked = client.post("/v1/collections/docs/search", json={"text": "alpha"})
        assert (asked.status_code, "tidestone reindex" in asked.json()["detail"]) == (409, True)
        job = client.post(REINDEX, json={"start_paused": True})
        assert (job.status_code, job.json()["state"]) == (202, "paused")
        models.Job.model_validate(job.json())
        assert client.post(REINDEX).status_code == 409
        client.post(job.json()["links"]["resume"])
        assert world.worker().take_one()
        done = client.get(job.headers["location"]).json()
        assert (done["state"], done["source"]["type"], done["progress"]["done"]) == (
            "succeeded",
            "reindex",
            1,
        )
        again = client.post(REINDEX)
        assert (again.status_code, "nothing to do" in again.json()["detail"]) == (409, True)
        found = client.post("/v1/collections/docs/search", json={"text": "alpha one", "k": 1}).json()
        assert found["hits"][0]["text"] == "alpha one"
        assert client.post("/v1/collections/none/reindex").status_code == 404
