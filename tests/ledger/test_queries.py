"""Counters, histograms and history; and the questions asked all the time are answered from an index."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from sqlalchemy import Connection, event

from service.core.job import Fact, Verb
from service.ledger import (
    collections,
    events,
    items,
    jobs,
    leases,
    metrics,
    preparations,
    versions,
)
from service.ledger.database import AnyRow, Ledger, utc_now


def new_job(c: Connection, root: str = "library") -> AnyRow:
    collection = collections.find(c, "docs") or collections.create(c, "docs", {}, "f32", {})
    source = collections.put_source(c, collection.id, "library", root, f"/{root}")
    return jobs.create(c, collection.id, source.id, "library", {}, False)


def stored(c: Connection) -> dict[tuple[str, str], float]:
    return {(row.name, row.labels): row.value for row in metrics.everything(c)}


def test_a_counter_adds_up_per_set_of_labels(ledger: Ledger) -> None:
    with ledger.write() as c:
        metrics.add(c, "pages", 2, service="library", result="indexed")
        metrics.add(c, "pages", 3, result="indexed", service="library")
        metrics.add(c, "pages", 1, result="failed", service="library")
        metrics.put(c, "gauge", 5)
        metrics.put(c, "gauge", 4)
        assert stored(c) == {
            ("pages", "result=indexed,service=library"): 5,
            ("pages", "result=failed,service=library"): 1,
            ("gauge", ""): 4,
        }
    assert metrics.labels_of("result=indexed,service=library") == {"result": "indexed", "service": "library"}


def test_a_histogram_s_buckets_are_cumulative(ledger: Ledger) -> None:
    with ledger.write() as c:
        for seconds in (0.003, 0.02, 100.0):
            metrics.observe(c, "took", seconds, stage="list")
        found = stored(c)
    assert found["took_count", "stage=list"] == 3
    assert found["took_sum", "stage=list"] == pytest.approx(100.023)
    counts = [found.get(("took_bucket", f"le={bound},stage=list"), 0) for bound in metrics.BUCKETS_SECONDS]
    assert counts[:3] == [1, 1, 2]
    assert counts == sorted(counts)


def test_history_has_one_event_for_every_version_and_can_be_replayed_from_any(ledger: Ledger) -> None:
    with ledger.write() as c:
        job = new_job(c)
        jobs.happen(c, job.id, Fact.LEASED)
        jobs.note(c, job.id, stage="list")
        jobs.count(c, job.id, "checkpoint", {"done": 3})
        last = jobs.ask(c, job.id, Verb.PAUSE)
        told = events.since(c, job.id, 0)
        assert [row.job_version for row in told] == list(range(1, last.version + 1))
        assert [row.type for row in told] == ["created", "state", "progress", "checkpoint", "state"]
        assert events.since(c, job.id, 3) == told[3:]
        assert events.since(c, job.id, 0, limit=2) == told[:2]
        assert events.oldest_version(c, job.id) == 1


def test_old_history_can_be_forgotten(ledger: Ledger) -> None:
    with ledger.write() as c:
        job = new_job(c)
        between = utc_now()
        jobs.happen(c, job.id, Fact.LEASED)
        assert events.forget_before(c, between) == 1
        assert events.oldest_version(c, job.id) == 2


def test_two_sources_of_one_collection_are_not_mixed_up(ledger: Ledger) -> None:
    with ledger.write() as c:
        made = [new_job(c, root) for root in ("one", "two")]
        assert [(job.root, job.path) for job in made] == [("one", "/one"), ("two", "/two")]
        assert [job.id for job in jobs.listing(c)] == [made[1].id, made[0].id]
        assert [jobs.get(c, job.id) for job in made] == made


def test_a_lease_that_somebody_took_meanwhile_is_not_taken(ledger: Ledger) -> None:
    """Where transactions run side by side, what was read may be out of date."""
    with ledger.write() as c:
        job = new_job(c)
        seen = leases.read(c, job.collection_id)
        assert leases.take(c, seen, "first", job.id, "") == seen.token + 1
        assert leases.take(c, seen, "second", job.id, "") is None
        assert leases.read(c, job.collection_id).holder == "first"


@contextmanager
def plans(c: Connection) -> Iterator[list[str]]:
    """How SQLite answers what is asked in the block."""
    found: list[str] = []

    def explain(_: object, cursor: object, statement: str, parameters: object, *__: object) -> None:
        assert c.connection.driver_connection is not None
        asked = c.connection.driver_connection.execute(f"EXPLAIN QUERY PLAN {statement}", parameters)
        found.extend(row[3] for row in asked)

    event.listen(c, "before_cursor_execute", explain)
    yield found
    event.remove(c, "before_cursor_execute", explain)


def index_of(plan: str) -> str:
    used = re.search(r"INDEX (\w+)", plan)
    return used[1] if used else plan


def test_a_partial_index_answers_whatever_is_asked_of_open_and_failed_items(ledger: Ledger) -> None:
    """Each of these would otherwise read every item of a million."""
    with ledger.write() as c:
        job = new_job(c)
        with plans(c) as found:
            items.next_pending(c, job.id, "upsert", 10, utc_now())
            items.earliest_retry(c, job.id, "upsert")
            items.open_count(c, job.id)
            items.take_back_all(c, job.id)
            items.recover(c, job.id, witnessed=True)
            items.drop_pending(c, job.id)
        sorts_a_few_suspects = "USE TEMP B-TREE FOR ORDER BY"
        assert {index_of(plan) for plan in found} - {sorts_a_few_suspects} == {"open_items"}, found
        with plans(c) as found:
            items.listing(c, job.id, "failed")
            items.retry_failed(c, job.id)
        assert {index_of(plan) for plan in found} == {"failed_items"}, found


def test_a_commit_does_not_read_every_version_to_find_the_unfinished_ones(ledger: Ledger) -> None:
    with ledger.write() as c:
        job = new_job(c)
        with plans(c) as found:
            versions.unfinished(c, job.collection_id)
        assert {index_of(plan) for plan in found} == {"unfinished_versions"}, found


def test_the_next_page_of_what_a_reindex_has_to_do_costs_a_page(ledger: Ledger) -> None:
    """Joined at once, every version would be compared with every span: a minute for 200,000 documents."""
    with ledger.write() as c:
        job = new_job(c)
        with plans(c) as found:
            preparations.missing(c, job.collection_id, job.id, 7, 10)
        looked_up = [plan for plan in found if re.search(r"SEARCH (versions|prepared) ", plan)]
        assert len(looked_up) == 2, found
        assert all("version_id=?" in plan for plan in looked_up), found
        assert not any("SCAN v" in plan for plan in found), found
