"""Metrics come from the ledger: right, and right after a restart."""

import re
import time
from datetime import datetime

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text
from starlette.testclient import TestClient

from service.core.job import Fact, State, Verb
from service.ledger import collections, jobs, metrics, workers
from service.web.app import create_app
from service.web.collector import FAMILIES
from tests.engine.world import World
from tests.web.conftest import services_of

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


def scraped(client: TestClient) -> Samples:
    text = client.get("/metrics").text
    found = [sample for family in parse_text(text) for sample in family.samples]
    samples = {(sample.name, frozenset(sample.labels.items())): sample.value for sample in found}
    assert len(samples) == len(found), "a series is there twice"
    return samples


def value(samples: Samples, name: str, **labels: str) -> float | None:
    return samples.get((name, frozenset(labels.items())))


def three_documents(world: World) -> None:
    world.write("a.txt", "alpha one\n\nalpha two")
    world.write("b.txt", "beta one\n\nbeta two")
    world.write("bad.txt", "DAMAGED goods")


def test_before_anything_has_happened_counters_are_zero_and_the_checkpoint_time_is_absent(
    client: TestClient,
) -> None:
    samples = scraped(client)
    assert value(samples, "ingest_checkpoint_total", service="library") == 0
    assert value(samples, "ingest_rate_items_per_second", service="library") == 0
    assert value(samples, "ingest_chunks_total") == 0
    assert value(samples, "ingest_items_pending") == 0
    assert value(samples, "ingest_items_quarantined") == 0
    assert value(samples, "ingest_publish_lag_generations") == 0
    assert value(samples, "ingest_build_info", version="1.2.3") == 1
    assert (value(samples, "ingest_disk_free_bytes") or 0) > 0
    names = {name for name, _ in samples}
    assert "ingest_last_checkpoint_timestamp_seconds" not in names
    assert "ingest_last_checkpoint_ts" not in names
    assert "ingest_worker_heartbeat_timestamp_seconds" not in names


def test_after_a_run_every_figure_agrees_with_what_rest_says(client: TestClient, world: World) -> None:
    three_documents(world)
    job = world.run()
    samples = scraped(client)
    described = client.get("/v1/collections/docs").json()
    assert value(samples, "ingest_checkpoint_total", service="library") == described["checkpoints"]
    saved = datetime.fromisoformat(described["last_saved"]).timestamp()
    assert value(samples, "ingest_last_checkpoint_timestamp_seconds", service="library") == saved
    assert value(samples, "ingest_last_checkpoint_ts", service="library") == saved
    for figure in ("vectors", "documents", "tombstones", "size_bytes"):
        assert value(samples, f"ingest_index_{figure}", collection="docs") == described[figure]
    assert value(samples, "ingest_checkpoint_sequence", collection="docs") == described["generation"]
    points = client.get("/v1/collections/docs/checkpoints").json()["checkpoints"]
    assert value(samples, "ingest_checkpoint_size_bytes", collection="docs") == points[0]["size_bytes"]
    assert value(samples, "ingest_items_processed_total", service="library", result="indexed") == 2
    assert value(samples, "ingest_items_processed_total", service="library", result="failed") == 1
    assert value(samples, "ingest_items_quarantined") == 1
    assert value(samples, "ingest_chunks_total") == job["progress"]["chunks"]
    assert value(samples, "ingest_embedded_tokens_total") == job["progress"]["tokens"]


def test_after_a_restart_every_figure_is_what_it_was(client: TestClient, world: World) -> None:
    three_documents(world)
    world.run()
    before = scraped(client)
    with TestClient(create_app(services_of(world))) as restarted:
        after = scraped(restarted)
    changing = {"ingest_disk_free_bytes"}
    assert {k: v for k, v in after.items() if k[0] not in changing} == {
        k: v for k, v in before.items() if k[0] not in changing
    }


def test_a_histogram_has_all_its_buckets_in_order(client: TestClient, world: World) -> None:
    with world.ledger.write() as c:
        for seconds in (0.02, 0.02, 0.7, 99.0):
            metrics.observe(c, "ingest_pause_latency_seconds", seconds)
    lines = re.findall(r'ingest_pause_latency_seconds_bucket{le="(.+?)"} (.+)', client.get("/metrics").text)
    bounds = [float(bound) for bound, _ in lines]
    counts = dict(zip(bounds, [float(count) for _, count in lines], strict=True))
    assert bounds == [*metrics.BUCKETS_SECONDS, float("inf")]
    assert (counts[0.01], counts[0.025], counts[0.5], counts[1.0], counts[30.0]) == (0, 2, 2, 3, 3)
    assert counts[float("inf")] == 4


def test_one_state_of_a_service_is_one_and_all_others_are_zero(client: TestClient, world: World) -> None:
    def states() -> dict[str, float]:
        return {
            dict(labels)["state"]: number
            for (name, labels), number in scraped(client).items()
            if name == "ingest_job_state"
        }

    assert states() == {}
    first = world.jobs.create(world.order())["id"]
    assert states() == {state.value: float(state == State.QUEUED) for state in State}
    for event, state in ((Fact.LEASED, State.RUNNING), (Verb.CANCEL, State.CANCELLING)):
        with world.ledger.write() as c:
            jobs.happen(c, first, event) if isinstance(event, Fact) else jobs.ask(c, first, event)
        assert states() == {each.value: float(each == state) for each in State}
    world.jobs.create(world.order(collection="other"))
    assert states()["cancelling"] == 1, "work in hand stands before what waits"
    with world.ledger.write() as c:
        jobs.happen(c, first, Fact.CHECKPOINTED)
    assert states()["queued"] == 1, "what waits stands before what is over"


def test_pending_documents_are_those_found_and_not_settled(client: TestClient, world: World) -> None:
    job = world.jobs.create(world.order())["id"]
    with world.ledger.write() as c:
        jobs.count(c, job, "progress", {"discovered": 10, "done": 3, "skipped": 1})
    assert value(scraped(client), "ingest_items_pending") == 6
    with world.ledger.write() as c:
        jobs.count(c, job, "progress", {}, total=12)
    assert value(scraped(client), "ingest_items_pending") == 8
    world.jobs.ask(job, Verb.CANCEL)
    assert value(scraped(client), "ingest_items_pending") == 0


def test_the_rate_is_above_zero_only_while_a_job_commits(client: TestClient, world: World) -> None:
    for n in range(9):
        world.write(f"{n}.txt", f"document number {n}")
    rates: list[float | None] = []
    world.preparer.before = lambda _: rates.append(rate(client))
    world.configure(batch_size=1)
    world.run()
    assert max(each or 0 for each in rates) > 0
    assert rate(client) == 0


def rate(client: TestClient) -> float | None:
    return value(scraped(client), "ingest_rate_items_per_second", service="library")


def test_a_worker_that_has_ended_keeps_its_last_heartbeat(client: TestClient, world: World) -> None:
    with world.ledger.write() as c:
        workers.register(c, "w", 1, "host", {})
    beat = value(scraped(client), "ingest_worker_heartbeat_timestamp_seconds")
    assert abs((beat or 0) - time.time()) < 5
    with world.ledger.write() as c:
        workers.end(c, "w")
    assert value(scraped(client), "ingest_worker_heartbeat_timestamp_seconds") == beat


def test_what_is_committed_but_not_published_is_a_lag(client: TestClient, world: World) -> None:
    three_documents(world)
    world.run()
    with world.ledger.write() as c:
        row = collections.by_name(c, "docs")
        collections.change(c, row.id, generation=row.generation + 2)
    assert value(scraped(client), "ingest_publish_lag_generations") == 2


def test_a_success_is_remembered_with_its_time(client: TestClient, world: World) -> None:
    world.write("a.txt", "alpha one")
    finished = datetime.fromisoformat(world.run()["finished_at"]).timestamp()
    success = "ingest_job_last_success_timestamp_seconds"
    assert value(scraped(client), success, service="library") == finished
    world.write("bad.txt", "DAMAGED goods")
    assert world.run()["state"] == "completed_with_errors"
    assert value(scraped(client), success, service="library") == finished


def test_quarantine_is_counted_again_when_the_collection_has_moved(client: TestClient, world: World) -> None:
    three_documents(world)
    world.run()
    assert value(scraped(client), "ingest_items_quarantined") == 1
    world.write("worse.txt", "DAMAGED too")
    world.run()
    assert value(scraped(client), "ingest_items_quarantined") == 2


@pytest.mark.parametrize("accept", ["text/plain", "application/openmetrics-text; version=1.0.0"])
def test_the_exposition_is_well_formed_in_both_formats(client: TestClient, world: World, accept: str) -> None:
    three_documents(world)
    world.run()
    response = client.get("/metrics", headers={"Accept": accept})
    assert response.headers["content-type"].startswith(accept.split(";")[0])
    parse = parse_openmetrics if "openmetrics" in accept else parse_text
    families = {family.name: family for family in parse(response.text)}
    assert all(family.documentation for family in families.values())
    labels = {label for family in families.values() for sample in family.samples for label in sample.labels}
    assert labels <= {
        "service",
        "state",
        "result",
        "stage",
        "collection",
        "le",
        "reason",
        "outcome",
        "version",
    }


def test_every_metric_that_the_engine_writes_is_declared(world: World) -> None:
    three_documents(world)
    world.run()
    with world.ledger.read() as c:
        written = {re.sub("_(bucket|count|sum)$", "", row.name) for row in metrics.everything(c)}
    assert written
    assert written <= {family.name for family in FAMILIES}
