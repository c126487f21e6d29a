"""Jobs over HTTP: made once, looked at cheaply, moved only as the table allows."""

from collections.abc import Callable
from itertools import product
from typing import Any

import pytest
from httpx2 import Response
from starlette.testclient import TestClient

from service.core.job import MOVES, Fact, State, Verb
from service.engine import jobs
from service.errors import TryAgain
from service.ledger import collections
from service.ledger import jobs as rows
from service.ledger.database import Ledger
from service.web import models
from service.web.app import create_app
from service.web.services import Services
from tests.engine.world import World
from tests.web.conftest import services_of

ORDER = {"collection": "docs", "source": {"type": "library"}}
# How a job gets into each state by the moves of the table.
WAYS: dict[State, list[Fact | Verb]] = {
    State.QUEUED: [],
    State.RUNNING: [Fact.LEASED],
    State.PAUSING: [Fact.LEASED, Verb.PAUSE],
    State.PAUSED: [Verb.PAUSE],
    State.CANCELLING: [Fact.LEASED, Verb.CANCEL],
    State.CANCELLED: [Verb.CANCEL],
    State.INTERRUPTED: [Fact.LEASED, Fact.STOPPED],
    State.SUCCEEDED: [Fact.LEASED, Fact.ALL_DONE],
    State.COMPLETED_WITH_ERRORS: [Fact.LEASED, Fact.SOME_QUARANTINED],
    State.FAILED: [Fact.LEASED, Fact.GAVE_UP],
}
REPEATS = {
    (State.PAUSING, Verb.PAUSE),
    (State.PAUSED, Verb.PAUSE),
    (State.QUEUED, Verb.RESUME),
    (State.RUNNING, Verb.RESUME),
    (State.CANCELLING, Verb.CANCEL),
    (State.CANCELLED, Verb.CANCEL),
    (State.QUEUED, Verb.RETRY),
    (State.RUNNING, Verb.RETRY),
}


def bring(ledger: Ledger, job_id: str, state: State) -> None:
    with ledger.write() as c:
        for event in WAYS[state]:
            rows.apply(c, rows.get(c, job_id), event)


def made(client: TestClient, **changes: Any) -> dict[str, Any]:
    response = client.post("/v1/jobs", json={**ORDER, **changes})
    assert response.status_code == 202, response.text
    job: dict[str, Any] = response.json()
    return job


def test_a_new_job_is_accepted_and_found_where_its_location_says(client: TestClient) -> None:
    response = client.post("/v1/jobs", json=ORDER)
    assert response.status_code == 202
    assert response.headers["location"] == f"/v1/jobs/{response.json()['id']}"
    found = client.get(response.headers["location"])
    assert found.status_code == 200
    assert found.json() == response.json()
    assert found.json()["source"]["root"] == "library"


def test_every_field_of_a_job_is_documented_and_every_link_leads_somewhere(client: TestClient) -> None:
    job = made(client)
    models.Job.model_validate(job)
    for name, link in job["links"].items():
        ask = client.post if name in list(Verb) else client.get
        if name != "events":  # which goes on as long as the job does
            assert ask(link).status_code in (200, 202, 409), name


def test_an_order_is_kept_as_it_was_given(client: TestClient) -> None:
    job = made(client, mode="fresh", deletes="off", batch_size=7, start_paused=True)
    assert job["state"] == "paused"
    assert job["options"]["mode"] == "fresh"
    assert job["options"]["deletes"] == "off"
    assert job["options"]["batch_size"] == 7


def test_the_same_idempotency_key_and_body_give_the_first_answer_again(client: TestClient) -> None:
    key = {"Idempotency-Key": "k1"}
    first = client.post("/v1/jobs", json=ORDER, headers=key)
    client.post(first.headers["location"] + "/cancel")
    again = client.post("/v1/jobs", json={"source": {"type": "library"}, "collection": "docs"}, headers=key)
    assert (again.status_code, again.json()) == (202, first.json())
    assert again.headers["location"] == first.headers["location"]
    assert len(client.get("/v1/jobs").json()["jobs"]) == 1


def test_the_same_idempotency_key_with_another_body_is_refused(client: TestClient) -> None:
    key = {"Idempotency-Key": "k1"}
    client.post("/v1/jobs", json=ORDER, headers=key)
    for changed in ({"mode": "fresh"}, {"collection": "other"}):
        other = client.post("/v1/jobs", json={**ORDER, **changed}, headers=key)
        assert (other.status_code, other.json()["code"]) == (422, "bad_request")


def test_a_repeated_request_is_answered_when_the_folder_is_gone(client: TestClient, world: World) -> None:
    (world.library / "sub").mkdir()
    key = {"Idempotency-Key": "monday"}
    body = {"collection": "other", "source": {"type": "library", "root": "library", "path": "sub"}}
    first = client.post("/v1/jobs", json=body, headers=key)
    assert first.status_code == 202
    (world.library / "sub").rmdir()
    assert client.post("/v1/jobs", json=body).status_code == 422
    again = client.post("/v1/jobs", json=body, headers=key)
    assert (again.status_code, again.json()) == (202, first.json())


def test_a_folder_inside_a_root_is_a_part_of_it(client: TestClient, world: World) -> None:
    world.write("sub/x.txt", "document number one")
    world.write("y.txt", "document number two")
    job = client.post("/v1/jobs", json={**ORDER, "source": {"type": "library", "path": "sub"}}).json()
    assert job["source"] == {
        "type": "library",
        "root": "library",
        "path": str(world.library),
        "folder": "sub",
    }
    world.worker().take_one()
    assert {key for key, _, _ in world.contents()} == {"library/sub/x.txt"}
    assert client.post("/v1/jobs", json=ORDER).status_code == 202
    world.worker().take_one()
    assert world.contents() == world.expected()


def test_a_service_that_does_not_ingest_takes_no_job(world: World) -> None:
    with TestClient(create_app(services_of(world, ingestion_enabled=False))) as client:
        response = client.post("/v1/jobs", json=ORDER)
    assert (response.status_code, response.json()["code"]) == (503, "not_ready")
    assert "ingestion.enabled" in response.json()["detail"]


def test_a_full_disk_takes_no_job(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise TryAgain("disk_low", "1 byte is free")

    monkeypatch.setattr(jobs, "require_room", full)
    response = client.post("/v1/jobs", json=ORDER)
    assert (response.status_code, response.json()["code"]) == (507, "disk_low")
    assert client.get("/v1/jobs").json()["jobs"] == []


def test_a_second_unfinished_job_of_the_same_source_is_a_conflict(client: TestClient) -> None:
    first = made(client)
    second = client.post("/v1/jobs", json=ORDER)
    assert (second.status_code, second.json()["code"]) == (409, "conflict")
    assert first["id"] in second.json()["detail"]
    assert second.json()["job"] == first["id"]


BAD_ORDERS: list[dict[str, Any]] = [
    {},
    {"source": {"type": "crawl"}},
    {**ORDER, "unknown": 1},
    {**ORDER, "source": {"type": "library", "unknown": 1}},
    {**ORDER, "mode": "sideways"},
    {**ORDER, "deletes": "confirmed"},
    {**ORDER, "deletes": "safe", "deletes_digest": "abc"},
    {**ORDER, "deletes_digest": "abc"},
    {**ORDER, "batch_size": 0},
    {**ORDER, "batch_size": 100_001},
    {**ORDER, "workers": 65},
    {**ORDER, "batch_size": "7"},
    {**ORDER, "start_paused": "yes"},
    {**ORDER, "collection": "../elsewhere"},
    {**ORDER, "source": {"type": "library", "path": "../.."}},
    {**ORDER, "source": {"type": "library", "path": "nul\0"}},
    {**ORDER, "source": {"type": "library", "root": "nobody"}},
]


def test_a_bad_order_is_refused_and_nothing_is_made(client: TestClient) -> None:
    for body in BAD_ORDERS:
        response = client.post("/v1/jobs", json=body)
        assert response.status_code == 422, (body, response.text)
        assert response.headers["content-type"] == "application/problem+json"
        assert response.json()["code"] == "bad_request"
        assert response.json()["detail"]
    assert client.get("/v1/jobs").json()["jobs"] == []


def test_half_a_character_in_a_body_is_bad_input_not_an_error(client: TestClient) -> None:
    body = b'{"source": {"type": "library", "path": "\\ud800"}}'
    response = client.post("/v1/jobs", content=body, headers={"Content-Type": "application/json"})
    assert response.status_code == 422


def test_a_body_that_cannot_be_read_is_refused_like_every_bad_body(client: TestClient) -> None:
    for body in (b'{"collection": "\xff"}', b"[" * 100_000, b'{"source": ' * 5_000, b"", b"nothing"):
        response = client.post("/v1/jobs", content=body, headers={"Content-Type": "application/json"})
        assert (response.status_code, response.json()["code"]) == (422, "bad_request"), body[:20]
        assert response.headers["content-type"] == "application/problem+json"
        assert "body" in response.json()["detail"]


def test_a_known_version_is_answered_with_304_until_the_job_changes(client: TestClient) -> None:
    link = made(client)["links"]["self"]
    first = client.get(link)
    tag = first.headers["etag"]
    assert tag == f'W/"{first.json()["version"]}"'
    for known in (tag, tag.removeprefix("W/"), f'"x", {tag}', "*"):
        same = client.get(link, headers={"If-None-Match": known})
        assert (same.status_code, same.content, same.headers["etag"]) == (304, b"", tag)
    client.post(f"{link}/pause")
    changed = client.get(link, headers={"If-None-Match": tag})
    assert (changed.status_code, changed.json()["state"]) == (200, "paused")


def test_a_wish_is_seen_at_once_by_whoever_looks_after_it(client: TestClient) -> None:
    link = made(client)["links"]["self"]
    for verb, state in (("pause", "paused"), ("resume", "queued"), ("cancel", "cancelled")):
        client.get(link)  # a look that is now remembered
        assert client.post(f"{link}/{verb}").json()["state"] == state
        assert client.get(link).json()["state"] == state


def test_every_verb_in_every_state_moves_repeats_or_says_what_is_allowed(
    client: TestClient, world: World
) -> None:
    for state, verb in product(State, Verb):
        ask(client, world, state, verb)


def ask(client: TestClient, world: World, state: State, verb: Verb) -> None:
    job = made(client, collection=f"{state}.{verb}")
    bring(world.ledger, job["id"], state)
    before = client.get(job["links"]["self"]).json()
    assert before["state"] == state
    response = client.post(f"{job['links']['self']}/{verb}")
    if (state, verb) in MOVES:
        assert (response.status_code, response.json()["state"]) == (202, MOVES[state, verb])
        assert before["can"][verb]
    elif (state, verb) in REPEATS:
        assert response.status_code == 202
        assert response.json() == before, "repeating changes nothing"
    else:
        told = response.json()
        assert (response.status_code, told["code"], told["state"]) == (409, "not_allowed_now", state)
        assert told["allowed"] == [verb for verb, can in before["can"].items() if can]


def test_what_does_not_exist_is_404(client: TestClient) -> None:
    asked: list[Callable[[], Response]] = [
        lambda: client.get("/v1/jobs/nobody"),
        lambda: client.post("/v1/jobs/nobody/pause"),
        lambda: client.get("/v1/jobs/nobody/items"),
        lambda: client.get("/v1/jobs/nobody/events"),
        lambda: client.get("/v1/jobs/nobody/checkpoints"),
        lambda: client.post("/v1/jobs/nobody/items/1/retry"),
        lambda: client.get("/v1/nothing"),
    ]
    for ask in asked:
        assert (ask().status_code, ask().json()["code"]) == (404, "not_found")
    assert client.put("/v1/jobs").status_code == 405


def test_a_query_that_means_nothing_is_422(client: TestClient) -> None:
    for query in (
        "cursor=x",
        "cursor=²",
        "cursor=99999999999999999999",
        "limit=0",
        "limit=1001",
        "state=odd",
    ):
        assert client.get(f"/v1/jobs?{query}").status_code == 422, query


def test_jobs_are_listed_newest_first_page_by_page(client: TestClient) -> None:
    ids = []
    for _ in range(5):
        job = made(client)
        client.post(f"{job['links']['self']}/cancel")
        ids.append(job["id"])
    seen: list[str] = []
    cursor: str | None = ""
    while cursor is not None:
        page = client.get(f"/v1/jobs?limit=2{cursor and '&cursor=' + cursor}").json()
        models.JobPage.model_validate(page)
        seen += [job["id"] for job in page["jobs"]]
        cursor = page["next"]
    assert seen == ids[::-1]
    assert client.get("/v1/jobs?state=queued").json()["jobs"] == []
    assert client.get("/v1/jobs?collection=other").json()["jobs"] == []
    assert len(client.get("/v1/jobs?state=cancelled&collection=docs").json()["jobs"]) == 5


def test_failures_are_listed_and_tried_again_one_by_one(client: TestClient, world: World) -> None:
    world.write("bad.txt", "DAMAGED one")
    world.write("worse.txt", "DAMAGED two")
    world.write("good.txt", "a good document")
    job = made(client)
    world.worker().take_one()
    link = job["links"]["self"]
    failed = client.get(f"{link}/items?state=failed").json()
    models.ItemPage.model_validate(failed)
    assert {item["path"] for item in failed["items"]} == {"bad.txt", "worse.txt"}
    retried = client.post(f"{link}/items/{failed['items'][0]['id']}/retry")
    assert (retried.status_code, retried.json()["state"]) == (202, "queued")
    assert retried.json()["progress"]["failed"] == 1
    assert client.get(link).json()["state"] == "queued"
    assert client.post(f"{link}/items/{1 << 62}/retry").status_code == 404
    assert client.post(f"{link}/items/{1 << 80}/retry").status_code == 422


def test_a_job_shows_its_checkpoints(client: TestClient, world: World) -> None:
    for n in range(7):
        world.write(f"{n}.txt", f"document number {n}")
    job = made(client)
    world.worker().take_one()
    page = client.get(f"{job['links']['self']}/checkpoints?limit=1").json()
    models.CheckpointPage.model_validate(page)
    assert [point["generation"] for point in page["checkpoints"]] == [3]
    rest = client.get(f"{job['links']['self']}/checkpoints?cursor={page['next']}").json()
    assert [point["generation"] for point in rest["checkpoints"]] == [2, 1]


def test_a_model_of_another_space_is_refused(world: World, client: TestClient) -> None:
    made(client)
    with world.ledger.write() as c:
        row = collections.by_name(c, "docs")
        collections.change(c, row.id, space={**row.space, "model": "other"})
    response = client.post("/v1/jobs", json=ORDER)
    assert (response.status_code, response.json()["code"]) == (409, "space_mismatch")


def test_without_configured_roots_any_absolute_folder_can_be_named(world: World) -> None:
    services: Services = services_of(world, library_roots={})
    with TestClient(create_app(services)) as client:
        source = {"type": "library", "path": str(world.library)}
        job = client.post("/v1/jobs", json={"source": source}).json()
        assert (job["collection"], job["source"]["root"]) == ("default", "library")
        assert client.post("/v1/jobs", json={"source": {"type": "library"}}).status_code == 422
