"""A job's events: replayed from where the client was, live, with heartbeats, until the job is finished."""

import asyncio
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx2
import pytest
from starlette.testclient import TestClient

from service.core.job import Fact, Verb
from service.ledger import events, jobs
from service.web import models, streams
from service.web.services import Services
from tests.engine.world import World
from tests.web.serving import served


def happen(world: World, job_id: str, *happenings: Fact | Verb) -> None:
    for event in happenings:
        with world.ledger.write() as c:
            jobs.apply(c, jobs.get(c, job_id), event)


def parse(lines: Iterator[str]) -> Iterator[dict[str, Any]]:
    """Server-sent events: event, id, data; a heartbeat is an event called "comment"."""
    found: dict[str, Any] = {}
    for line in lines:
        name, _, value = line.partition(": ")
        if line.startswith(":"):
            yield {"event": "comment"}
        elif line:
            found[name] = json.loads(value) if name == "data" else value
        elif found:
            yield found
            found = {}


def told(client: TestClient, job_id: str, last: str | None = None) -> list[dict[str, Any]]:
    headers = {} if last is None else {"Last-Event-ID": last}
    response = client.get(f"/v1/jobs/{job_id}/events", headers=headers)
    assert response.headers["content-type"].startswith("text/event-stream")
    return list(parse(iter(response.text.splitlines())))


@contextmanager
def listening(url: str, job_id: str) -> Iterator[Iterator[dict[str, Any]]]:
    with (
        httpx2.Client(timeout=10) as client,
        client.stream("GET", f"{url}/v1/jobs/{job_id}/events") as response,
    ):
        yield parse(response.iter_lines())


@pytest.fixture
def finished(world: World) -> str:
    """A job with the versions 1 (created) to 4 (succeeded)."""
    job_id: str = world.jobs.create(world.order())["id"]
    happen(world, job_id, Fact.LEASED, Verb.PAUSE, Fact.ALL_DONE)
    return job_id


def test_what_was_missed_is_replayed_then_the_job_is_shown_and_the_stream_ends(
    client: TestClient, finished: str
) -> None:
    seen = told(client, finished, last="1")
    assert [(event["event"], event["id"]) for event in seen] == [
        ("state", "2"),
        ("state", "3"),
        ("state", "4"),
        ("snapshot", "4"),
    ]
    assert [event["data"]["data"]["state"] for event in seen[:3]] == ["running", "pausing", "succeeded"]
    models.Job.model_validate(seen[-1]["data"])


def test_from_zero_the_whole_life_is_replayed(client: TestClient, finished: str) -> None:
    assert [event["id"] for event in told(client, finished, last="0")] == ["1", "2", "3", "4", "4"]


@pytest.mark.parametrize("last", [None, "", "junk", "99", "9" * 5_000])
def test_without_a_place_in_history_there_is_a_reset_and_the_job(
    client: TestClient, finished: str, last: str | None
) -> None:
    assert [event["event"] for event in told(client, finished, last)] == ["reset", "snapshot"]


def test_a_history_that_is_gone_is_a_reset_too(client: TestClient, world: World, finished: str) -> None:
    with world.ledger.write() as c:
        kept = events.since(c, finished, 2)
        events.forget_before(c, kept[0].at)
    assert [event["event"] for event in told(client, finished, last="1")] == ["reset", "snapshot"]
    assert [event["event"] for event in told(client, finished, last="2")] == ["state", "state", "snapshot"]
    with world.ledger.write() as c:
        events.forget_before(c, "9999")
    assert [event["event"] for event in told(client, finished, last="2")] == ["reset", "snapshot"]


def test_events_newer_than_the_snapshot_that_follows_them_wait(world: World, finished: str) -> None:
    async def missed() -> list[str | None]:
        return [event.id async for event in streams._missed(world.jobs, finished, 1, 3)]

    assert asyncio.run(missed()) == ["2", "3"]


def test_one_who_has_it_all_is_told_not_to_come_back(client: TestClient, finished: str) -> None:
    response = client.get(f"/v1/jobs/{finished}/events", headers={"Last-Event-ID": "4"})
    assert (response.status_code, response.content) == (204, b"")


def test_a_history_longer_than_one_reading_of_it_is_replayed_whole(client: TestClient, world: World) -> None:
    job_id = world.jobs.create(world.order())["id"]
    with world.ledger.write() as c:
        for n in range(1_100):
            jobs.note(c, job_id, attempt=n)
    happen(world, job_id, Verb.CANCEL)
    ids = [int(event["id"]) for event in told(client, job_id, last="5")]
    assert ids == [*range(6, 1_103), 1_102]


def test_changes_arrive_while_they_happen_and_ids_never_go_back(services: Services, world: World) -> None:
    job_id = world.jobs.create(world.order())["id"]
    with served(services) as url, listening(url, job_id) as stream:
        assert [next(stream)["event"], next(stream)["data"]["state"]] == ["reset", "queued"]
        happen(world, job_id, Fact.LEASED)
        started = time.monotonic()
        assert (next(stream)["event"], next(stream)["data"]["state"]) == ("state", "running")
        assert time.monotonic() - started < 2
        happen(world, job_id, Verb.PAUSE, Fact.CHECKPOINTED, Verb.CANCEL)
        rest = list(stream)
    ids = [int(event["id"]) for event in rest]
    assert ids == sorted(ids)
    assert rest[-1]["data"]["state"] == "cancelled"
    assert {event["data"]["version"] for event in rest if event["event"] == "state"} == {3, 4, 5}


def test_a_quiet_stream_has_a_heartbeat(
    services: Services, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streams, "HEARTBEAT_SECONDS", 0.1)
    job_id = world.jobs.create(world.order())["id"]
    with served(services) as url, listening(url, job_id) as stream:
        assert [next(stream)["event"] for _ in range(4)] == ["reset", "snapshot", "comment", "comment"]
        happen(world, job_id, Verb.CANCEL)


def test_a_stream_that_is_left_open_does_not_keep_the_server_from_ending(
    services: Services, world: World
) -> None:
    job_id = world.jobs.create(world.order())["id"]
    with served(services) as url, httpx2.Client(timeout=10) as client:
        request = client.build_request("GET", f"{url}/v1/jobs/{job_id}/events")
        response = client.send(request, stream=True)
        assert next(response.iter_lines()) == "event: reset"
        response.close()
        started = time.monotonic()
    assert time.monotonic() - started < 5
