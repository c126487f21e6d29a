"""Every (state, wish, event) triple of a job's life, against the table of moves written down a second time."""

from collections.abc import Iterator
from itertools import product
from pathlib import Path

import pytest
from sqlalchemy import Connection, update

from service.core.job import FINISHED, MOVES, UNFINISHED, Fact, State, Verb, allowed, is_repeat, move
from service.errors import IllegalMove
from service.ledger import collections, events, jobs, schema
from service.ledger.database import AnyRow, Ledger, sqlite_url
from service.ledger.migrate import migrate

# The design's table: from, what happens, to. An outcome ends a job whatever has been asked of it meanwhile.
OUTCOMES = {"all_done": "succeeded", "some_quarantined": "completed_with_errors", "gave_up": "failed"}
TABLE: list[tuple[str, str, str]] = [
    ("queued", "leased", "running"),
    ("queued interrupted", "pause", "paused"),
    ("running", "pause", "pausing"),
    ("pausing", "checkpointed", "paused"),
    ("pausing", "resume", "running"),
    ("paused interrupted failed", "resume", "queued"),
    *[("running pausing cancelling", fact, outcome) for fact, outcome in OUTCOMES.items()],
    ("queued paused interrupted failed", "cancel", "cancelled"),
    ("running pausing", "cancel", "cancelling"),
    ("cancelling", "checkpointed", "cancelled"),
    ("running", "stopped", "interrupted"),
    ("pausing", "stopped worker_lost held", "paused"),
    ("cancelling", "stopped worker_lost held leased", "cancelling"),
    ("interrupted", "auto_resumed", "queued"),
    ("running", "worker_lost held", "queued"),
    ("completed_with_errors", "retry", "queued"),
]
DESIGN = {
    (state, event): target
    for states, happenings, target in TABLE
    for state in states.split()
    for event in happenings.split()
}
WISH_OF = {"pause": "paused", "resume": "running", "cancel": "cancelled", "retry": "running"}
REPEATS = {
    ("pausing", "pause"),
    ("paused", "pause"),
    ("queued", "resume"),
    ("running", "resume"),
    ("cancelling", "cancel"),
    ("cancelled", "cancel"),
    ("queued", "retry"),
    ("running", "retry"),
}
EVENTS: tuple[Verb | Fact, ...] = (*Verb, *Fact)
WISHES = ("running", "paused", "cancelled")


@pytest.fixture(scope="module")
def ledger(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ledger]:
    made = Ledger.open(sqlite_url(Path(tmp_path_factory.mktemp("ledger"))))
    migrate(made)
    yield made
    made.close()


@pytest.fixture
def c(ledger: Ledger) -> Iterator[Connection]:
    """A transaction that is rolled back in the end."""
    with ledger.engine.connect() as connection:
        yield connection


def new_job(c: Connection, paused: bool = False) -> AnyRow:
    collection = collections.find(c, "docs") or collections.create(c, "docs", {}, "f32", {})
    source = collections.put_source(c, collection.id, "library", "library", "/library")
    return jobs.create(c, collection.id, source.id, "library", {}, paused)


def job_in(c: Connection, state: State, wish: str) -> AnyRow:
    job = new_job(c)
    finished_at = "2026-01-01" if state in FINISHED else None
    values = {"state": state, "desired_state": wish, "finished_at": finished_at}
    c.execute(update(schema.jobs).where(schema.jobs.c.id == job.id).values(**values))
    return jobs.get(c, job.id)


def bring(c: Connection, job: AnyRow, event: Verb | Fact) -> AnyRow:
    return jobs.ask(c, job.id, event) if isinstance(event, Verb) else jobs.happen(c, job.id, event)


def test_the_table_of_moves_is_the_design_s() -> None:
    assert {(state.value, event.value): to.value for (state, event), to in MOVES.items()} == DESIGN


@pytest.mark.parametrize(("state", "wish", "event"), list(product(State, WISHES, EVENTS)), ids=str)
def test_every_triple(c: Connection, state: State, wish: str, event: Verb | Fact) -> None:
    job = job_in(c, state, wish)
    target = DESIGN.get((state.value, event.value))
    if target is None:
        nothing_happens(c, job, event)
        return
    after = bring(c, job, event)
    assert after.state == target
    assert after.version == job.version + 1
    assert after.desired_state == (WISH_OF[event.value] if isinstance(event, Verb) else wish)
    assert (after.finished_at is not None) == (State(target) in FINISHED)
    if target == "paused":
        assert after.paused_at_checkpoint == 0, "paused names the checkpoint that makes it safe"
    (told,) = events.since(c, job.id, job.version)
    assert (told.job_version, told.data["state"]) == (after.version, target)


def nothing_happens(c: Connection, job: AnyRow, event: Verb | Fact) -> None:
    """No such move: an error that says what is allowed, or a repeat that changes nothing."""
    if (job.state, event.value) in REPEATS:
        bring(c, job, event)
    else:
        with pytest.raises(IllegalMove) as caught:
            bring(c, job, event)
        assert caught.value.state == job.state
        assert set(caught.value.allowed) == {v for s, v in DESIGN if s == job.state and v in WISH_OF}
    assert jobs.get(c, job.id) == job
    assert events.since(c, job.id, job.version) == []


def reachable() -> set[tuple[State, str]]:
    """Every (state, wish) that verbs and facts can bring about, from a new job on."""
    waiting = [(State.QUEUED, "running"), (State.PAUSED, "paused")]
    found = set(waiting)
    while waiting:
        state, wish = waiting.pop()
        for event in EVENTS:
            target = move(state, event)
            then = WISH_OF[event.value] if isinstance(event, Verb) else wish
            if target is not None and (target, then) not in found:
                found.add((target, then))
                waiting.append((target, then))
    return found


def test_every_state_can_be_reached() -> None:
    assert {state for state, _ in reachable()} == set(State)


def test_no_fact_undoes_a_pause_or_a_cancellation() -> None:
    for state, wish in reachable():
        for fact in Fact:
            if wish != "running":
                assert move(state, fact) not in (State.QUEUED, State.RUNNING), (state, wish, fact)


def test_a_cancelled_job_is_never_paused_by_a_fact() -> None:
    for state, wish in reachable():
        if wish == "cancelled":
            assert all(move(state, fact) != State.PAUSED for fact in Fact)


def test_every_unfinished_state_has_a_way_out() -> None:
    for state in UNFINISHED:
        assert any(move(state, event) not in (None, state) for event in EVENTS), state
        assert leads_to_an_end(state), state


def leads_to_an_end(state: State) -> bool:
    seen, waiting = {state}, [state]
    while waiting:
        here = waiting.pop()
        targets = {to for event in EVENTS if (to := move(here, event)) is not None}
        waiting += targets - seen
        seen |= targets
    return not seen.isdisjoint(FINISHED)


@pytest.mark.parametrize("state", State)
def test_what_a_job_can_do_is_what_the_table_allows(state: State) -> None:
    by_table = {verb: (state.value, verb) in DESIGN for verb in WISH_OF}
    assert set(allowed(state)) == {verb for verb, may in by_table.items() if may}
    assert {verb.value for verb in Verb if is_repeat(state, verb)} == {v for s, v in REPEATS if s == state}


def test_a_new_job_waits_or_is_paused_from_the_start(c: Connection) -> None:
    job = new_job(c)
    assert (job.state, job.desired_state, job.version) == ("queued", "running", 1)
    assert [event.type for event in events.since(c, job.id, 0)] == ["created"]
    jobs.ask(c, job.id, Verb.CANCEL)
    paused = new_job(c, paused=True)
    assert (paused.state, paused.desired_state) == ("paused", "paused")
    assert jobs.ask(c, paused.id, Verb.RESUME).state == "queued"


@pytest.mark.parametrize(("state", "verb"), [("failed", Verb.RESUME), ("completed_with_errors", Verb.RETRY)])
def test_a_finished_job_cannot_come_back_beside_a_newer_one(c: Connection, state: str, verb: Verb) -> None:
    old = job_in(c, State(state), "running")
    newer = new_job(c)
    with pytest.raises(IllegalMove, match=newer.id):
        jobs.ask(c, old.id, verb)
    assert jobs.get(c, old.id) == old


def test_a_job_that_waits_for_a_person_outlives_the_next_pause_at_its_newest_checkpoint(
    c: Connection,
) -> None:
    job = new_job(c)
    jobs.ask(c, job.id, Verb.PAUSE)
    jobs.ask(c, job.id, Verb.RESUME)
    collections.change(c, job.collection_id, generation=7)
    assert jobs.ask(c, job.id, Verb.PAUSE).paused_at_checkpoint == 7
