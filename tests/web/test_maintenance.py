"""Maintenance over REST: a receipt at once, the result for who waits, a refusal for what cannot be."""

import pytest
from starlette.testclient import TestClient

from service.core.upkeep import Kind
from service.errors import Conflict
from service.maintenance.work import Duty, Result, Work
from service.web import models
from tests.engine.world import World
from tests.web.serving import at_work

REPAIR = "/v1/collections/docs/repair"


@pytest.fixture
def filled(world: World) -> World:
    world.write("a.txt", "alpha one\n\nalpha two")
    world.run()
    return world


@pytest.mark.usefixtures("filled")
def test_an_order_is_answered_with_a_receipt_to_ask_again_by(client: TestClient, world: World) -> None:
    ordered = client.post(REPAIR)
    assert ordered.status_code == 202
    models.Task.model_validate(ordered.json())
    receipt = ordered.headers["location"]
    assert client.get(receipt).json() == ordered.json()
    world.tend(ordered.json())
    done = client.get(receipt).json()
    assert (done["state"], done["result"]["segments_taken_out"]) == ("done", [])
    page = client.get("/v1/tasks", params={"collection": "docs"}).json()
    models.TaskPage.model_validate(page)
    assert page["tasks"] == [done]


def test_who_waits_gets_the_result(client: TestClient, filled: World) -> None:
    with at_work(filled):
        done = client.post(REPAIR, params={"wait": 60})
    assert (done.status_code, done.json()["state"]) == (200, "done")


def test_who_waits_for_what_is_refused_gets_the_refusal(client: TestClient, filled: World) -> None:
    def refuse(work: Work) -> Result:
        raise Conflict("something stands in the way")

    filled.duties = {Kind.REPAIR: Duty(refuse)}
    with at_work(filled):
        refused = client.post(REPAIR, params={"wait": 60})
    assert (refused.status_code, refused.json()["code"]) == (409, "conflict")
    assert refused.json()["detail"] == "something stands in the way"
    assert client.get(f"/v1/tasks/{refused.json()['task']}").json()["state"] == "failed"


def test_what_is_not_there_cannot_be_maintained(client: TestClient) -> None:
    assert client.post("/v1/collections/none/repair").status_code == 404
    assert client.get("/v1/tasks/task-1").status_code == 404
    assert client.get("/v1/tasks", params={"cursor": "x"}).status_code == 422
