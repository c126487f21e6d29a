"""No client keeps the others from being served: too many requests are answered with 429."""

from collections.abc import Iterator

import pytest
from starlette.testclient import TestClient

from service.web import limits
from service.web.app import create_app
from service.web.limits import Allowance
from tests.engine.world import World
from tests.web.conftest import services_of
from tests.web.test_jobs import ORDER

PER_SECOND = 5
BURST = 10  # what two seconds allow


@pytest.fixture
def limited(world: World) -> Iterator[TestClient]:
    with TestClient(create_app(services_of(world, requests_per_second=PER_SECOND))) as client:
        yield client


def test_too_many_requests_are_429_with_the_time_to_wait(limited: TestClient) -> None:
    answers = [limited.get("/v1/version") for _ in range(40)]
    assert {answer.status_code for answer in answers[:BURST]} == {200}
    refused = answers[-1]
    assert (refused.status_code, refused.json()["code"]) == (429, "too_many_requests")
    assert refused.headers["content-type"] == "application/problem+json"
    assert refused.headers["retry-after"] == "1"
    assert "service.requests_per_second" in refused.json()["detail"]


def test_health_and_metrics_are_always_answered(limited: TestClient) -> None:
    for path in ("/livez", "/readyz", "/metrics"):
        assert {limited.get(path).status_code for _ in range(BURST + 5)} == {200}
    assert limited.get("/v1/version").status_code == 200


def test_a_stream_counts_once(limited: TestClient) -> None:
    job = limited.post("/v1/jobs", json=ORDER).json()
    limited.post(job["links"]["cancel"])
    for _ in range(BURST - 2):
        assert limited.get(job["links"]["events"]).status_code == 200
    assert [limited.get(job["links"]["self"]).status_code for _ in range(3)][-1] == 429


def test_without_a_limit_everything_is_answered(world: World) -> None:
    with TestClient(create_app(services_of(world, requests_per_second=0))) as client:
        assert {client.get("/v1/version").status_code for _ in range(500)} == {200}


def test_who_waits_as_long_as_told_is_served() -> None:
    allowance = Allowance(PER_SECOND)
    waits = [allowance.take("a", 100.0) for _ in range(BURST + 1)]
    assert waits[:BURST] == [0.0] * BURST
    assert 0 < waits[-1] <= 1 / PER_SECOND
    assert allowance.take("b", 100.0) == 0, "everybody has an allowance of their own"
    assert allowance.take("a", 100.0 + waits[-1] + 1e-6) == 0
    assert allowance.take("a", 100.0 + waits[-1] + 1e-6) > 0, (
        "refused requests cost nothing, answered ones do"
    )


def test_fifty_pollers_behind_one_address_never_meet_the_default() -> None:
    allowance = Allowance(200)
    assert not any(allowance.take("proxy", n / 50) for n in range(5_000))
    assert not any(allowance.take("proxy", 200.0) for _ in range(400)), "all at the same moment, eight times"


def test_addresses_are_forgotten() -> None:
    allowance = Allowance(200)
    for n in range(3 * limits.MOST_KNOWN):
        allowance.take(f"address {n}", 5.0)
    assert len(allowance) == limits.MOST_KNOWN
    allowance.take("another", 5.1)
    assert len(allowance) == 1, "an allowance that is whole again says nothing"
