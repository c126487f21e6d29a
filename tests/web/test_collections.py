"""Collections and their documents over HTTP."""

import time
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from service.ledger import collections
from service.web import models
from service.web.snapshots import MAX_AGE_SECONDS
from tests.engine.world import World

DOCS = "/v1/collections/docs"


@pytest.fixture
def filled(world: World) -> World:
    world.write("a.txt", "alpha one\n\nalpha two")
    world.write("sub/b.txt", "beta one\n\nbeta two")
    world.write("bad.txt", "DAMAGED goods")
    world.run()
    return world


@pytest.mark.usefixtures("filled")
def test_a_collection_is_described_as_documented(client: TestClient) -> None:
    listed = client.get("/v1/collections").json()
    models.Collections.model_validate(listed)
    assert listed["collections"] == [client.get(DOCS).json()]
    assert listed["collections"][0]["documents"] == 2


def test_the_generation_is_304_until_something_is_committed(client: TestClient, filled: World) -> None:
    first = client.get(f"{DOCS}/generation")
    models.Generation.model_validate(first.json())
    tag = {"If-None-Match": first.headers["etag"]}
    assert client.get(f"{DOCS}/generation", headers=tag).status_code == 304
    with filled.ledger.write() as c:
        row = collections.by_name(c, "docs")
        collections.change(c, row.id, generation=row.generation + 1)
    time.sleep(MAX_AGE_SECONDS * 1.1)
    moved = client.get(f"{DOCS}/generation", headers=tag)
    assert moved.status_code == 200
    assert moved.json()["committed"] == moved.json()["published"] + 1


@pytest.mark.usefixtures("filled")
def test_checkpoints_are_listed_page_by_page(client: TestClient) -> None:
    page = client.get(f"{DOCS}/checkpoints?limit=1").json()
    models.CheckpointPage.model_validate(page)
    assert page["next"] == str(page["checkpoints"][0]["generation"])
    assert client.get(f"{DOCS}/checkpoints?cursor=1").json() == {"checkpoints": [], "next": None}


@pytest.mark.usefixtures("filled")
def test_is_my_file_in_and_as_what(client: TestClient) -> None:
    page = client.get(f"{DOCS}/documents").json()
    models.DocumentPage.model_validate(page)
    by_key = {document["key"]: document for document in page["documents"]}
    assert by_key["library/bad.txt"]["state"] == "failed"
    one = client.get(f"{DOCS}/documents", params={"key": "library/sub/b.txt"}).json()
    models.Document.model_validate(one)
    assert [chunk["text"] for chunk in one["contents"]] == ["beta one", "beta two"]
    assert client.get(f"{DOCS}/documents/{one['doc_id']}").json() == one


@pytest.mark.usefixtures("filled")
def test_one_document_by_key_cannot_be_filtered_too(client: TestClient) -> None:
    for other in ("state=failed", "prefix=library/", "cursor=1"):
        response = client.get(f"{DOCS}/documents?key=library/a.txt&{other}")
        assert (response.status_code, response.json()["code"]) == (422, "bad_request"), other


@pytest.mark.usefixtures("filled")
def test_documents_are_filtered_and_paged(client: TestClient) -> None:
    def keys(query: str) -> list[str]:
        return [d["key"] for d in client.get(f"{DOCS}/documents?{query}").json()["documents"]]

    assert keys("state=failed") == ["library/bad.txt"]
    assert keys("prefix=library/sub/") == ["library/sub/b.txt"]
    first = client.get(f"{DOCS}/documents?limit=2").json()
    rest = client.get(f"{DOCS}/documents?limit=2&cursor={first['next']}").json()
    assert len(first["documents"] + rest["documents"]) == 3
    assert rest["next"] is None


def test_what_is_not_there_is_404(client: TestClient, filled: World) -> None:
    for path in ("", "/generation", "/checkpoints", "/documents", "/documents/1", "/documents?key=x"):
        assert client.get(f"/v1/collections/nobody{path}").status_code == 404, path
    for verb, body in (("search", {"text": "x"}), ("verify", None)):
        assert client.post(f"/v1/collections/nobody/{verb}", json=body).status_code == 404, verb
    assert client.get(f"{DOCS}/documents/999").status_code == 404
    assert client.get(f"{DOCS}/documents?key=nobody").status_code == 404
    assert client.get(f"{DOCS}/documents/{1 << 70}").status_code == 422


def test_search_answers_with_hits_and_their_generation(client: TestClient, filled: World) -> None:
    found = client.post(f"{DOCS}/search", json={"text": "beta two", "k": 1}).json()
    models.Found.model_validate(found)
    assert [hit["text"] for hit in found["hits"]] == ["beta two"]
    assert found["generation"] == client.get(DOCS).json()["generation"]
    vector = [float(x) for x in filled.embedder.embed_query("alpha one")]
    by_vector = client.post(f"{DOCS}/search", json={"vector": vector, "k": 1}).json()
    assert by_vector["hits"][0]["text"] == "alpha one"
    only = client.post(f"{DOCS}/search", json={"vector": vector, "where": {"category": "sub"}}).json()
    assert {hit["key"] for hit in only["hits"]} == {"library/sub/b.txt"}


@pytest.mark.usefixtures("filled")
def test_a_query_that_cannot_be_answered_is_422(client: TestClient) -> None:
    bodies = [
        b'{"k": 3}',
        b'{"text": "a", "vector": [1]}',
        b'{"vector": [1, 2, 3]}',
        b'{"vector": [NaN]}',
        b'{"text": ""}',
        b'{"text": " "}',
        b'{"text": "\\u2003\\n"}',
        b'{"text": "' + b"x" * 100_001 + b'"}',
        b'{"text": "a", "k": 0}',
        b'{"text": "a", "where": {"n": 1}}',
        b'{"text": "a", "extra": 1}',
        b'{"text": "' + b"long " * 2_000 + b'"}',
        b"not json",
    ]
    for body in bodies:
        response = client.post(f"{DOCS}/search", content=body, headers={"Content-Type": "application/json"})
        assert (response.status_code, response.json()["code"]) == (422, "bad_request"), body


def test_verify_reports_a_flipped_byte_and_reading_the_document_refuses(
    client: TestClient, filled: World
) -> None:
    report = client.post(f"{DOCS}/verify").json()
    models.Verified.model_validate(report)
    assert report["valid"]
    [chunks] = Path(filled.files).glob("segments/*.chunks")
    data = bytearray(chunks.read_bytes())
    data[len(data) // 2] ^= 1
    chunks.chmod(0o644)
    chunks.write_bytes(data)
    report = client.post(f"{DOCS}/verify").json()
    models.Verified.model_validate(report)
    assert [problem["kind"] for problem in report["problems"]] == ["damaged"]
    response = client.get(f"{DOCS}/documents?key=library/a.txt")
    assert (response.status_code, response.json()["code"]) == (500, "damaged")
