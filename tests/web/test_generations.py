"""Generations over REST: how they differ, going back to one, keeping one."""

import pytest
from starlette.testclient import TestClient

from service.web import differences, models
from tests.engine.world import OLD, World
from tests.web.test_maintenance import at_work

ROLLBACK = "/v1/collections/docs/rollback"
DIFF = "/v1/collections/docs/diff"


@pytest.fixture
def changed(world: World) -> World:
    """Generation 1 has a and b; generation 2 another b, and c."""
    world.write("a.txt", "alpha one\n\nalpha two")
    world.write("b.txt", "beta one\n\nbeta two")
    world.run()
    world.write("b.txt", "beta one\n\nbeta three", OLD + 100)
    world.write("c.txt", "gamma one\n\ngamma two")
    world.run()
    return world


@pytest.mark.usefixtures("changed")
def test_how_two_generations_differ(client: TestClient) -> None:
    told = client.get(DIFF, params={"from": 1, "limit": 1}).json()
    differences.Diff.model_validate(told)
    assert (told["from"], told["to"], told["added"], told["changed"], told["removed"]) == (1, 2, 1, 1, 0)
    rest = client.get(DIFF, params={"from": 1, "to": 2, "cursor": told["next"]}).json()
    shown = {each["key"]: each["change"] for each in (*told["documents"], *rest["documents"])}
    assert shown == {"library/b.txt": "changed", "library/c.txt": "added"}
    back = client.get(DIFF, params={"from": 2, "to": 1}).json()
    assert (back["added"], back["changed"], back["removed"]) == (0, 1, 1)
    assert client.get(DIFF, params={"from": 1, "to": 3}).status_code == 404
    assert client.get(DIFF).status_code == 422


def test_a_rollback_is_previewed_ordered_and_done(client: TestClient, changed: World) -> None:
    told = client.post(ROLLBACK, json={"generation": 1, "preview": True})
    assert told.status_code == 200
    differences.Preview.model_validate(told.json())
    assert (told.json()["changed"], told.json()["removed"], told.json()["refused"]) == (1, 1, None)
    with at_work(changed):
        done = client.post(ROLLBACK, json={"generation": 1}, params={"wait": 60})
    assert (done.status_code, done.json()["state"]) == (200, "done")
    models.Task.model_validate(done.json())
    assert {key for key, _, _ in changed.contents()} == {"library/a.txt", "library/b.txt"}
    assert client.get(DIFF, params={"from": 1}).json()["documents"] == []


@pytest.mark.usefixtures("changed")
def test_what_cannot_be_is_refused(client: TestClient, world: World) -> None:
    assert client.post(ROLLBACK, json={"generation": 9}).status_code == 404
    assert client.post(ROLLBACK, json={"generation": -1}).status_code == 422
    assert client.post("/v1/collections/none/rollback", json={"generation": 1}).status_code == 404
    assert client.post(ROLLBACK, json={"generation": 1, "jobs": ["job-x"]}).status_code == 404
    with world.ledger.write() as c:
        c.exec_driver_sql("UPDATE collections SET kept_from = 2")
    refused = client.post(ROLLBACK, json={"generation": 1})
    assert (refused.status_code, refused.json()["code"]) == (409, "conflict")
    assert "kept are 2" in refused.json()["detail"]
    assert client.get(DIFF, params={"from": 1}).status_code == 409


@pytest.mark.usefixtures("changed")
def test_a_checkpoint_is_pinned_and_unpinned(client: TestClient) -> None:
    job = client.get("/v1/jobs").json()["jobs"][-1]["id"]
    for pin in (f"/v1/jobs/{job}/checkpoints/1/pin", "/v1/collections/docs/checkpoints/1/pin"):
        for _ in range(2):
            assert client.post(pin).json()["pinned"] is True
        models.Checkpoint.model_validate(client.post(pin).json())
        assert client.delete(pin).json()["pinned"] is False
    assert client.post(f"/v1/jobs/{job}/checkpoints/2/pin").status_code == 404
    assert client.post("/v1/collections/docs/checkpoints/7/pin").status_code == 404
