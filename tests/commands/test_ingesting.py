"""Which job `tidestone ingest` means, and how it is seen through; fakes behind the ports, no processes."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from service.commands.follow import View
from service.commands.ingesting import Companion, choose, place
from service.commands.outcome import Intent
from service.core.job import State, Verb
from service.engine.jobs import Order
from service.engine.lease import Lease, Observer, Wanted
from service.errors import BadRequest, Conflict
from service.ledger import jobs as job_rows
from service.settings import load
from tests.engine.world import World

PLAIN = Intent({})


class Seen:
    """A display that remembers the states it was shown."""

    def __init__(self) -> None:
        self.states: list[str] = []

    def show(self, view: View) -> None:
        if self.states[-1:] != [view["state"]]:
            self.states.append(view["state"])


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path)
    for number in range(7):
        made.write(f"{number}.txt", f"the text of document {number}")
    yield made
    made.ledger.close()


@pytest.fixture
def companion(world: World) -> Iterator[Companion]:
    with ThreadPoolExecutor(1) as executor:
        yield Companion(world.jobs, world.worker(), Seen(), executor)


def _chosen(world: World, companion: Companion, intent: Intent, **changes: Any) -> View:
    order: Order = world.order(**{**intent.given, **changes})
    return world.jobs.get(choose(world.jobs, order, intent, companion.see_through))


def _unfinished(world: World, state: State, **changes: Any) -> str:
    """A job in this state that no worker has."""
    job = world.jobs.create(world.order(**changes))
    if state == State.PAUSED:
        world.jobs.ask(job["id"], Verb.PAUSE)
    elif state != State.QUEUED:
        with world.ledger.write() as c:  # as a worker that died would have left it
            job_rows.note(c, job["id"], state=state)
    return str(job["id"])


def test_the_first_command_makes_a_job_and_works_on_it(world: World, companion: Companion) -> None:
    job = companion.see_through(_chosen(world, companion, PLAIN)["id"])
    assert job["state"] == "succeeded"
    assert job["progress"]["done"] == 7


def test_after_a_finished_job_comes_a_new_one(world: World, companion: Companion) -> None:
    first = companion.see_through(_chosen(world, companion, PLAIN)["id"])
    assert _chosen(world, companion, PLAIN)["id"] != first["id"]


@pytest.mark.parametrize("state", [State.QUEUED, State.INTERRUPTED, State.CANCELLING])
def test_the_same_command_goes_on_with_the_unfinished_job(
    state: State, world: World, companion: Companion
) -> None:
    job_id = _unfinished(world, state)
    job = _chosen(world, companion, PLAIN)
    assert job["id"] == job_id
    assert companion.see_through(job_id)["state"] == ("cancelled" if state == "cancelling" else "succeeded")


def test_a_job_that_somebody_paused_stays_paused(world: World, companion: Companion) -> None:
    job_id = _unfinished(world, State.PAUSED)
    assert _chosen(world, companion, PLAIN)["id"] == job_id
    assert companion.see_through(job_id)["state"] == "paused"


def test_resume_goes_on_with_a_paused_job(world: World, companion: Companion) -> None:
    job_id = _unfinished(world, State.PAUSED)
    assert _chosen(world, companion, Intent({}, resume=True))["id"] == job_id
    assert companion.see_through(job_id)["state"] == "succeeded"


def test_options_that_are_not_given_do_not_have_to_agree(world: World, companion: Companion) -> None:
    job_id = _unfinished(world, State.INTERRUPTED, batch_size=2, deletes="off")
    assert _chosen(world, companion, PLAIN)["id"] == job_id
    assert _chosen(world, companion, Intent({"batch_size": 2}))["id"] == job_id


def test_other_options_than_the_jobs_own_are_refused_with_both_ways_out(
    world: World, companion: Companion
) -> None:
    job_id = _unfinished(world, State.INTERRUPTED, batch_size=2)
    with pytest.raises(Conflict, match=r"batch_size 2 there, 5 here.*--resume.*--fresh"):
        _chosen(world, companion, Intent({"batch_size": 5}))
    job = _chosen(world, companion, Intent({"batch_size": 5}, resume=True))
    assert (job["id"], job["options"]["batch_size"]) == (job_id, 2)


def test_another_folder_of_the_same_name_is_another_order(
    world: World, companion: Companion, tmp_path: Path
) -> None:
    _unfinished(world, State.INTERRUPTED)
    with pytest.raises(Conflict, match="path"):
        _chosen(world, companion, PLAIN, path=tmp_path / "elsewhere")


@pytest.mark.parametrize("finished", [False, True])
def test_resume_is_an_error_where_there_is_nothing_to_resume(
    finished: bool, world: World, companion: Companion
) -> None:
    if finished:
        companion.see_through(_chosen(world, companion, PLAIN)["id"])
    with pytest.raises(BadRequest, match=r"nothing to resume.*(no job yet|succeeded)"):
        _chosen(world, companion, Intent({}, resume=True))


@pytest.mark.parametrize("state", [State.QUEUED, State.INTERRUPTED, State.PAUSED, State.CANCELLING])
def test_fresh_cancels_the_unfinished_job_and_does_everything_again(
    state: State, world: World, companion: Companion
) -> None:
    companion.see_through(_chosen(world, companion, PLAIN)["id"])
    job_id = _unfinished(world, state)
    job = _chosen(world, companion, Intent({}, fresh=True))
    assert world.jobs.get(job_id)["state"] == "cancelled"
    assert (job["id"] != job_id, job["options"]["mode"]) == (True, "fresh")
    assert companion.see_through(job["id"])["progress"]["done"] == 7


def test_a_job_that_is_not_due_is_left_alone_until_it_is(world: World, companion: Companion) -> None:
    job_id = _unfinished(world, State.QUEUED)
    with world.ledger.write() as c:
        reason = {"code": "backoff", "message": "later", "retry_at": "2999-01-01T00:00:00.000000+00:00"}
        job_rows.note(c, job_id, reason=reason)
    with ThreadPoolExecutor(1) as executor:
        watching = executor.submit(companion.see_through, job_id)
        with pytest.raises(TimeoutError):
            watching.result(timeout=0.6)
        world.stop.set()
        assert watching.result(timeout=5)["state"] == "queued"


def test_work_that_another_has_is_watched_until_its_lease_is_free(world: World, companion: Companion) -> None:
    job_id = _unfinished(world, State.QUEUED)
    with world.ledger.read() as c:
        job = job_rows.get(c, job_id)
    held = Lease.take(
        world.ledger,
        Observer(),
        Wanted(job.collection_id, job.id),
        world.settings.folder("docs"),
        "somebody else",
    )
    assert held is not None
    with ThreadPoolExecutor(1) as executor:
        watching = executor.submit(companion.see_through, job_id)
        with pytest.raises(TimeoutError):
            watching.result(timeout=0.8)
        held.release()
        assert watching.result(timeout=10)["state"] == "succeeded"


def test_library_roots_name_what_is_in_them_and_do_not_bind_the_command_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    inside, outside = tmp_path / "docs" / "sub", tmp_path / "other"
    inside.mkdir(parents=True)
    outside.mkdir()
    settings = load({"service.library_roots": {"manuals": tmp_path / "docs"}})
    assert place(settings, tmp_path / "docs", None) == (tmp_path / "docs", "manuals", "")
    assert place(settings, inside, None) == (tmp_path / "docs", "manuals", "sub")
    assert place(settings, Path("other"), None) == (outside, "other", "")
    assert place(settings, outside, "mine") == (outside, "mine", "")
    with pytest.raises(BadRequest, match="not a folder"):
        place(settings, tmp_path / "none", None)
