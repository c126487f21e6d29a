"""Documents that leave over REST: 200 with a proof for who waits, a receipt for who does not."""

import pytest
from starlette.testclient import TestClient

from service.web import models
from tests.engine.world import World
from tests.running import wait_for
from tests.web.serving import at_work

DOCUMENTS = "/v1/collections/docs/documents"
RESTORE = f"{DOCUMENTS}/restore"


@pytest.fixture
def filled(world: World) -> World:
    for name in "abc":
        world.write(f"{name}.txt", f"{name} document one\n\n{name} document two")
    world.run()
    return world


def test_who_waits_gets_the_proof_and_the_document_stays_out_until_it_is_restored(
    client: TestClient, filled: World
) -> None:
    with at_work(filled):
        done = client.delete(DOCUMENTS, params={"key": "library/a.txt", "wait": 60})
        assert done.status_code == 200
        assert models.Withdrawn.model_validate(done.json()).verified
        hits = client.post(
            "/v1/collections/docs/search",
            json={"vector": filled.embedder.embed_query("a document one").tolist()},
        ).json()["hits"]
        assert {hit["key"] for hit in hits} == {"library/b.txt", "library/c.txt"}
        shown = client.get(DOCUMENTS, params={"state": "withdrawn"}).json()["documents"]
        assert [document["key"] for document in shown] == ["library/a.txt"]
        back = client.post(RESTORE, params={"key": "library/a.txt", "wait": 60})
        assert (back.status_code, back.json()["state"]) == (200, "done")
    assert client.get(DOCUMENTS, params={"key": "library/a.txt"}).json()["state"] == "pending"


def test_who_does_not_wait_gets_a_receipt(client: TestClient, filled: World) -> None:
    doc_id = client.get(DOCUMENTS, params={"key": "library/b.txt"}).json()["doc_id"]
    ordered = client.delete(f"{DOCUMENTS}/{doc_id}")
    assert (ordered.status_code, ordered.json()["kind"]) == (202, "withdraw")
    filled.tend(ordered.json())
    assert client.get(ordered.headers["location"]).json()["result"]["verified"]


@pytest.mark.usefixtures("filled")
def test_what_cannot_leave_or_come_back_is_refused(client: TestClient) -> None:
    assert client.delete(DOCUMENTS, params={"key": "library/z.txt"}).status_code == 404
    assert client.delete(DOCUMENTS).status_code == 422
    assert client.post(RESTORE, params={"key": "library/a.txt"}).status_code == 409


def test_a_collection_is_deleted_and_made_again_under_its_name(client: TestClient, filled: World) -> None:
    docs, question = (
        "/v1/collections/docs",
        {"vector": filled.embedder.embed_query("a document one").tolist()},
    )
    assert client.post(f"{docs}/search", json=question).json()["hits"]
    order = {"collection": "docs", "source": {"type": "library", "path": str(filled.library)}}
    ordered = client.delete(docs)
    assert (ordered.status_code, ordered.json()["kind"]) == (202, "drop")
    assert client.get(docs).json()["state"] == "deleting"
    assert client.post("/v1/jobs", json=order).status_code == 409
    assert client.post(f"{docs}/search", json=question).status_code == 409
    with at_work(filled):
        assert client.delete(docs, params={"wait": 60}).json()["state"] == "done"
        assert client.get(docs).status_code == client.get(f"{docs}/generation").status_code == 404
        assert client.post(f"{docs}/search", json=question).status_code == 404
        job = client.post("/v1/jobs", json=order).json()["id"]
        wait_for(lambda: client.get(f"/v1/jobs/{job}").json()["state"] == "succeeded")
    assert len(client.post(f"{docs}/search", json=question).json()["hits"]) == 6
    assert client.get(ordered.headers["location"]).json()["state"] == "done"


def test_a_plan_over_rest(client: TestClient, filled: World) -> None:
    filled.write("d.txt", "d document one")
    order = {"collection": "docs", "source": {"type": "library", "path": str(filled.library)}}
    planned = client.post("/v1/jobs/plan", json=order).json()
    models.Plan.model_validate(planned)
    assert (planned["add"]["paths"], planned["unchanged"]) == (["d.txt"], 3)
