"""What is tried again, what fails, and what is refused: with a reason every time."""

from dataclasses import replace
from typing import Any

import pytest

from service.core import pace
from service.core.job import Verb
from service.errors import BadRequest, Conflict, IllegalMove, NotFound, SpaceMismatch, TryAgain, Unavailable
from service.ledger import items
from service.ports import FileTask
from tests.engine.holding import newest
from tests.engine.world import World

pytestmark = pytest.mark.usefixtures("quick")


def raising(error: Exception, times: int) -> Any:
    """A step-in that raises so many times, and counts."""
    left = [times]

    def before(_: FileTask) -> None:
        if left[0]:
            left[0] -= 1
            raise error

    return before


def test_a_passing_trouble_with_a_file_is_tried_again_after_a_while(world: World) -> None:
    world.write("x.txt", "document number one")
    world.preparer.before = raising(TryAgain("io_error", "the cable was loose"), 3)
    job = world.run()
    assert job["state"] == "succeeded"
    (item,) = world.jobs.items(job["id"])["items"]
    assert (item["state"], item["tries"]) == ("done", 3)
    assert world.contents() == world.expected()


def test_a_lasting_trouble_with_a_file_is_a_failure_in_the_end_and_the_others_are_in(world: World) -> None:
    world.write("x.txt", "document number one")
    world.write("y.txt", "document number two")

    def always(task: FileTask) -> None:
        if task.path.name == "y.txt":
            tried.append(task)
            raise TryAgain("io_error", "the cable is cut")

    tried = list[FileTask]()
    world.preparer.before = always
    job = world.run()
    assert job["state"] == "completed_with_errors"
    assert len(tried) == 1 + world.settings.max_retries
    (failed,) = world.jobs.items(job["id"], "failed")["items"]
    assert (failed["path"], failed["reason"], failed["detail"]) == ("y.txt", "io_error", "the cable is cut")
    assert world.contents() == {("library/x.txt", 0, "document number one")}


def test_a_file_that_vanishes_before_it_is_read_is_skipped(world: World) -> None:
    for n in range(5):
        world.write(f"x{n}.txt", f"document number {n}")
    world.preparer.before = lambda _: (world.library / "x3.txt").unlink(missing_ok=True)
    job = world.run()
    assert (job["state"], job["progress"]["done"], job["progress"]["skipped"]) == ("succeeded", 4, 1)
    assert world.contents() == world.expected()


def test_an_unexpected_error_is_tried_three_times_and_then_the_job_fails_with_it(world: World) -> None:
    world.write("x.txt", "document number one")
    world.preparer.before = raising(ZeroDivisionError("a bug of ours"), 3)
    job = world.run()
    for _ in range(2):
        assert (newest(world)["state"], newest(world)["reason"]["code"]) == ("queued", "unexpected")
        assert world.worker().take_one()
    failed = newest(world)
    assert (failed["state"], failed["reason"]["code"]) == ("failed", "unexpected")
    assert "a bug of ours" in failed["reason"]["message"]
    assert world.resume(job["id"])["state"] == "succeeded"
    assert world.contents() == world.expected()


@pytest.fixture
def mostly_damaged(world: World) -> World:
    for n in range(22):
        world.write(f"d{n:02}/bad.txt", f"DAMAGED number {n}")
    for n in range(22, 40):
        world.write(f"d{n}/good.txt", f"document number {n}")
    return world


def mend(world: World) -> None:
    for n in range(22):
        world.write(f"d{n:02}/bad.txt", f"mended number {n}")


def test_too_many_failures_end_the_job_and_resume_tries_failed_and_pending_again(
    mostly_damaged: World,
) -> None:
    job = mostly_damaged.run()
    assert (job["state"], job["reason"]["code"]) == ("failed", "too_many_failures")
    assert job["progress"]["failed"] >= pace.LEAST_SETTLED
    assert job["progress"]["done"] < 18
    mend(mostly_damaged)
    mostly_damaged.preparer.prepared.clear()
    job = mostly_damaged.resume(job["id"])
    assert (job["state"], job["progress"]["failed"], job["progress"]["done"]) == ("succeeded", 0, 40)
    assert mostly_damaged.contents() == mostly_damaged.expected()


def test_too_many_failures_again_fail_again(mostly_damaged: World) -> None:
    job = mostly_damaged.run()
    assert mostly_damaged.resume(job["id"])["state"] == "failed"


def some_damaged(world: World) -> dict[str, Any]:
    for n in range(6):
        world.write(f"x{n}.txt", f"document number {n}" if n > 1 else f"DAMAGED number {n}")
    job = world.run()
    assert job["state"] == "completed_with_errors"
    for n in range(2):
        world.write(f"x{n}.txt", f"mended number {n}")
    world.preparer.prepared.clear()
    return job


def test_retry_takes_the_failed_items_only(world: World) -> None:
    job = some_damaged(world)
    assert world.jobs.ask(job["id"], Verb.RETRY)["progress"]["failed"] == 0
    assert world.worker().take_one()
    assert sorted(world.preparer.prepared) == ["x0.txt", "x1.txt"]
    job = world.jobs.get(job["id"])
    assert (job["state"], job["progress"]["done"], job["progress"]["failed"]) == ("succeeded", 6, 0)
    assert world.contents() == world.expected()


def test_one_failed_item_can_be_tried_again_alone(world: World) -> None:
    job = some_damaged(world)
    first, second = world.jobs.items(job["id"], "failed")["items"]
    assert world.jobs.retry_item(job["id"], first["id"])["state"] == "queued"
    assert world.worker().take_one()
    assert world.preparer.prepared == [first["path"]]
    assert world.jobs.get(job["id"])["state"] == "completed_with_errors"
    assert [item["id"] for item in world.jobs.items(job["id"], "failed")["items"]] == [second["id"]]
    with pytest.raises(IllegalMove) as refused:
        world.jobs.retry_item(job["id"], first["id"])
    assert (refused.value.state, refused.value.allowed) == ("done", ())
    with pytest.raises(NotFound):
        world.jobs.retry_item(job["id"], 999)


def test_asking_twice_for_a_retry_of_an_item_is_asking_once(world: World) -> None:
    job = some_damaged(world)
    first, _ = world.jobs.items(job["id"], "failed")["items"]
    world.jobs.retry_item(job["id"], first["id"])
    assert world.jobs.retry_item(job["id"], first["id"])["progress"]["failed"] == 1


def test_a_job_whose_failures_are_accepted_one_by_one_has_succeeded(world: World) -> None:
    job = some_damaged(world)
    first, second = world.jobs.items(job["id"], "failed")["items"]
    after = world.jobs.skip_item(job["id"], first["id"])
    assert (after["state"], after["progress"]["failed"], after["progress"]["skipped"]) == (
        "completed_with_errors",
        1,
        1,
    )
    assert world.jobs.skip_item(job["id"], first["id"])["progress"] == after["progress"], "twice is once"
    assert world.jobs.skip_item(job["id"], second["id"])["state"] == "queued"
    assert world.worker().take_one()
    after = world.jobs.get(job["id"])
    assert (after["state"], after["progress"]["failed"], after["progress"]["skipped"]) == ("succeeded", 0, 2)
    assert world.preparer.prepared == []


def test_a_pending_item_that_is_skipped_is_not_begun(world: World) -> None:
    for n in range(4):
        world.write(f"x{n}.txt", f"document number {n}")
    world.preparer.before = raising(Unavailable("parser_start", "not now"), 1)
    job = world.run()
    pending = world.jobs.items(job["id"], "pending")["items"]
    world.jobs.skip_item(job["id"], pending[0]["id"])
    assert world.worker().take_one()
    job = world.jobs.get(job["id"])
    assert (job["state"], job["progress"]["skipped"], job["progress"]["done"]) == ("succeeded", 1, 3)
    assert pending[0]["path"] not in {key.removeprefix("library/") for key, _, _ in world.contents()}
    done = world.jobs.items(job["id"], "done")["items"][0]
    with pytest.raises(IllegalMove, match="done"):
        world.jobs.skip_item(job["id"], done["id"])


def test_a_skip_that_comes_while_its_item_is_claimed_wins_or_is_refused(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The worker has read the item as pending, and marks it a moment later."""
    for n in range(3):
        world.write(f"x{n}.txt", f"document number {n}")
    real, skipped = items.start, list[int]()

    def skip_first(c: Any, ids: list[int]) -> set[int]:
        if not skipped:
            skipped.append(ids[0])
            items.skip(c, ids[0])
        return real(c, ids)

    monkeypatch.setattr(items, "start", skip_first)
    job = world.run()
    assert (job["state"], job["progress"]["done"]) == ("succeeded", 2)
    assert len(world.contents()) == 2


def test_what_a_newer_job_stands_in_the_way_of_is_not_offered(world: World) -> None:
    old = some_damaged(world)
    first = world.jobs.items(old["id"], "failed")["items"][0]["id"]
    newer = world.jobs.create(world.order(start_paused=True))
    assert not any(world.jobs.get(old["id"])["can"].values())
    for ask in (
        lambda: world.jobs.ask(old["id"], Verb.RETRY),
        lambda: world.jobs.retry_item(old["id"], first),
    ):
        with pytest.raises(IllegalMove, match=newer["id"]) as refused:
            ask()
        assert (refused.value.state, refused.value.allowed) == ("completed_with_errors", ())
    assert len(world.jobs.items(old["id"], "failed")["items"]) == 2
    world.jobs.ask(newer["id"], Verb.CANCEL)
    assert world.jobs.get(old["id"])["can"]["retry"]


def test_a_cancelled_job_tries_nothing_again(mostly_damaged: World) -> None:
    job = mostly_damaged.run()
    mostly_damaged.jobs.ask(job["id"], Verb.CANCEL)
    failed = mostly_damaged.jobs.items(job["id"], "failed")["items"]
    with pytest.raises(IllegalMove):
        mostly_damaged.jobs.retry_item(job["id"], failed[0]["id"])
    assert mostly_damaged.jobs.items(job["id"], "failed")["items"] == failed


def test_a_second_job_for_the_same_source_is_a_conflict_that_names_the_first(world: World) -> None:
    job = world.jobs.create(world.order(start_paused=True))
    with pytest.raises(Conflict, match=job["id"]):
        world.jobs.create(world.order())


def test_another_model_is_refused_at_once_with_the_ways_out(world: World) -> None:
    world.write("x.txt", "document number one")
    world.run()
    world.embedder.space = replace(world.embedder.space, model="another@1")
    with pytest.raises(SpaceMismatch, match=r"another@1.*model_path.*new collection"):
        world.jobs.create(world.order())


def test_a_model_that_changed_while_the_job_waited_fails_it_with_the_ways_out(world: World) -> None:
    world.write("x.txt", "document number one")
    job = world.jobs.create(world.order())
    world.embedder.space = replace(world.embedder.space, model="another@1")
    assert world.worker().take_one()
    job = world.jobs.get(job["id"])
    assert (job["state"], job["reason"]["code"]) == ("failed", "refused")
    assert "another@1" in job["reason"]["message"]


def test_the_same_key_and_body_give_the_first_answer_again(world: World) -> None:
    first = world.jobs.create(world.order(), "key-1", b"body")
    world.jobs.ask(first["id"], Verb.PAUSE)
    assert world.jobs.create(world.order(), "key-1", b"body") == first
    assert len(world.jobs.listing()["jobs"]) == 1
    with pytest.raises(BadRequest, match="key-1"):
        world.jobs.create(world.order(), "key-1", b"another body")
    assert world.jobs.answered("key-1", b"body") == first
    assert world.jobs.answered("key-2", b"body") is None


def test_a_key_without_a_body_stands_for_the_whole_order(world: World) -> None:
    first = world.jobs.create(world.order(), "key-1")
    assert world.jobs.create(world.order(), "key-1") == first
    with pytest.raises(BadRequest):
        world.jobs.create(world.order(collection="others"), "key-1")


def test_a_refused_order_leaves_no_answer_behind(world: World) -> None:
    world.jobs.create(world.order())
    with pytest.raises(Conflict):
        world.jobs.create(world.order(), "key-1", b"body")
    world.jobs.ask(newest(world)["id"], Verb.CANCEL)
    assert world.jobs.create(world.order(), "key-1", b"body")["state"] == "queued"
