"""Pause, resume, cancel and SIGTERM in every stage: nothing is lost, nothing is doubled, nothing is left in hand."""

from collections.abc import Callable
from typing import Any

import pytest

from service.core.job import Verb
from service.engine import tenure
from service.engine.commit import Committer
from service.engine.sweep import resume_interrupted
from service.errors import IllegalMove
from service.ledger import collections, items
from tests.engine.holding import STAGES, in_embedding, newest
from tests.engine.world import World

pytestmark = pytest.mark.usefixtures("quick")


@pytest.fixture
def library(world: World) -> World:
    """Twelve documents of three chunks in twelve folders."""
    for n in range(12):
        world.write(f"d{n}/x{n}.txt", "\n\n".join(f"document {n}, part {part}" for part in range(3)))
    return world


def pause(world: World) -> None:
    world.jobs.ask(newest(world)["id"], Verb.PAUSE)


def cancel(world: World) -> None:
    world.jobs.ask(newest(world)["id"], Verb.CANCEL)


def terminate(world: World) -> None:
    world.stop.set()


def run_until_told(
    world: World, act: Callable[[World], None], stage: str, monkeypatch: Any
) -> dict[str, Any]:
    with monkeypatch.context() as patched:
        STAGES[stage](world, patched, lambda: act(world))
        job = world.run()
    world.stop.clear()
    return job


def generation(world: World) -> int:
    with world.ledger.read() as c:
        return int(collections.by_name(c, "docs").generation)


def nothing_is_in_hand(world: World, job: dict[str, Any]) -> None:
    with world.ledger.read() as c:
        left = [(item.state, item.attempts) for item in items.listing(c, job["id"], limit=1000)]
    assert {state for state, _ in left} <= {"pending", "done"}
    assert {attempts for state, attempts in left if state == "pending"} <= {0}


def everything_is_in(world: World, job: dict[str, Any]) -> None:
    assert job["state"] == "succeeded", job["reason"]
    assert world.contents() == world.expected()
    assert world.verify()["valid"], world.verify()
    nothing_is_in_hand(world, job)


@pytest.mark.parametrize("stage", STAGES)
def test_a_pause_names_its_checkpoint_and_resume_goes_on(
    library: World, stage: str, monkeypatch: Any
) -> None:
    job = run_until_told(library, pause, stage, monkeypatch)
    assert (job["state"], job["desired_state"], job["stage"]) == ("paused", "paused", "")
    assert job["paused_at_checkpoint"] == generation(library)
    assert job["can"] == {"pause": False, "resume": True, "cancel": True, "retry": False}
    nothing_is_in_hand(library, job)
    assert not library.worker().take_one(), "a paused job was taken"
    everything_is_in(library, library.resume(job["id"]))


@pytest.mark.parametrize("stage", STAGES)
def test_a_cancellation_keeps_what_is_in_and_the_next_job_does_the_rest(
    library: World, stage: str, monkeypatch: Any
) -> None:
    job = run_until_told(library, cancel, stage, monkeypatch)
    assert (job["state"], job["desired_state"]) == ("cancelled", "cancelled")
    nothing_is_in_hand(library, job)
    assert not library.worker().take_one()
    if generation(library):
        assert library.verify()["valid"], library.verify()
    everything_is_in(library, library.run())


@pytest.mark.parametrize("stage", STAGES)
def test_sigterm_interrupts_and_resume_goes_on(library: World, stage: str, monkeypatch: Any) -> None:
    job = run_until_told(library, terminate, stage, monkeypatch)
    assert (job["state"], job["desired_state"], job["reason"]["code"]) == (
        "interrupted",
        "running",
        "stopped",
    )
    assert job["paused_at_checkpoint"] == generation(library)
    nothing_is_in_hand(library, job)
    assert not library.worker().take_one(), "an interrupted job went on by itself"
    everything_is_in(library, library.resume(job["id"]))


def test_what_is_committed_before_a_pause_is_not_done_again(library: World, monkeypatch: Any) -> None:
    job = run_until_told(library, pause, "between commits", monkeypatch)
    before = job["progress"]["done"]
    assert 0 < before < 12
    library.preparer.prepared.clear()
    library.resume(job["id"])
    assert len(library.preparer.prepared) == 12 - before


def test_a_pause_keeps_the_finished_chunks_of_a_large_document(world: World, monkeypatch: Any) -> None:
    world.write("large.txt", "\n\n".join(f"part {n} of something large" for n in range(100)))
    monkeypatch.setattr("tests.engine.holding.FIRST_LATE", 50)
    in_embedding(world, monkeypatch, lambda: pause(world))
    job = world.run()
    assert (job["state"], job["progress"]["done"]) == ("paused", 0)
    assert job["paused_at_checkpoint"] == generation(world) == 1
    assert world.contents() == set(), "an unfinished document was visible"
    world.embedder.texts.clear()
    everything_is_in(world, world.resume(job["id"]))
    assert len(world.embedder.texts) == 50


def test_pause_and_resume_before_it_took_effect_lose_nothing(library: World, monkeypatch: Any) -> None:
    """The resume comes while the worker is already committing what it has in hand."""
    commit, resumed = Committer.commit, list[str]()

    def resume_meanwhile(self: Committer, *args: object, **kwargs: object) -> int:
        if not resumed:
            assert self.lease.wish == "paused"
            resumed.append(library.jobs.ask(newest(library)["id"], Verb.RESUME)["state"])
        return commit(self, *args, **kwargs)

    monkeypatch.setattr(Committer, "commit", resume_meanwhile)
    in_embedding(library, monkeypatch, lambda: pause(library))
    job = library.run()
    assert resumed == ["running"]
    assert job["attempt"] == 1
    everything_is_in(library, job)


def test_a_pause_that_comes_with_the_last_commit_is_overtaken_by_success(
    library: World, monkeypatch: Any
) -> None:
    finish = tenure.Tenure._finish

    def pause_first(self: tenure.Tenure) -> bool:
        pause(library)
        return finish(self)

    monkeypatch.setattr(tenure.Tenure, "_finish", pause_first)
    everything_is_in(library, library.run())


def test_pausing_twice_and_resuming_twice_changes_nothing_more(library: World, monkeypatch: Any) -> None:
    job = run_until_told(library, pause, "between commits", monkeypatch)
    assert library.jobs.ask(job["id"], Verb.PAUSE)["version"] == job["version"]
    resumed = library.jobs.ask(job["id"], Verb.RESUME)
    assert library.jobs.ask(job["id"], Verb.RESUME) == resumed


def test_what_is_not_allowed_now_says_what_is(library: World) -> None:
    job = library.run()
    for verb in Verb:
        with pytest.raises(IllegalMove) as caught:
            library.jobs.ask(job["id"], verb)
        assert caught.value.allowed == ()


def test_auto_resume_takes_up_interrupted_jobs_and_no_others(library: World, monkeypatch: Any) -> None:
    job = run_until_told(library, terminate, "between commits", monkeypatch)
    assert resume_interrupted(library.ledger) == 1
    assert library.worker().take_one()
    everything_is_in(library, library.jobs.get(job["id"]))
    library.write("new.txt", "something to be paused over")
    paused = library.jobs.create(library.order(start_paused=True))
    assert resume_interrupted(library.ledger) == 0
    assert library.jobs.get(paused["id"])["state"] == "paused"
