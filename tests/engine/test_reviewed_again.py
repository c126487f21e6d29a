"""What a second hostile review has found: each lost, kept, doubled or deleted something once."""

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from threading import Event, Thread
from typing import Any

import pytest

from service.core.job import Verb
from service.engine import commit
from service.engine.lease import Observer
from service.engine.sweep import sweep
from service.errors import DocumentFailed, Stopped, TryAgain
from service.ports import FileTask, Folder, Left, Piece
from service.selftest.fake_preparer import FakePreparer
from service.sources.library import Library
from tests.engine.holding import Died, Once, newest, wait_until
from tests.engine.world import OLD, World

pytestmark = pytest.mark.usefixtures("quick")


def records(world: World, count: int, later: int = 0) -> Path:
    lines = (json.dumps({"id": f"r{n}", "text": f"record number {n}"}) for n in range(count))
    return world.write("records.jsonl", "\n".join(lines), OLD + later)


class Watched(Library):
    """Does something before one of its listings."""

    def __init__(self, root: Path, before: Callable[[int], None]) -> None:
        super().__init__(root)
        self._before, self._listings = before, 0

    def scan(self, folder: str, pulse: Callable[[], None]) -> Iterator[Folder]:
        self._listings += 1
        self._before(self._listings)
        return super().scan(folder, pulse)


class Twice(Library):
    """Lists every name twice, as a file system may while a folder changes."""

    def scan(self, folder: str, pulse: Callable[[], None]) -> Iterator[Folder]:
        for part in super().scan(folder, pulse):
            yield Folder(folder, part.files)
            yield part


class Interrupted(FakePreparer):
    """Says some of a file's records, and then raises, once."""

    def __init__(self, error: Exception, after: int) -> None:
        super().__init__()
        self._errors, self._after = [error], after

    def _records(self, task: FileTask, text: str) -> Iterator[Piece | Left]:
        for number, said in enumerate(super()._records(task, text), 1):
            yield said
            if number == self._after and self._errors:
                time.sleep(0.2)  # what has been said is embedded by then
                raise self._errors.pop()


def test_a_file_of_records_that_failed_weighs_what_it_has_kept(world: World) -> None:
    for n in range(5):
        world.write(f"{n}.txt", f"document number {n}")
    path = records(world, 100)
    world.run(batch_size=200)
    records(world, 101, 100)
    world.preparer = Interrupted(DocumentFailed("no_permission", "x"), 1)
    assert world.run()["progress"]["failed"] == 1
    path.unlink()
    assert world.run()["deletes_withheld"]["count"] >= 100
    assert len(world.contents()) == 105


def test_a_folder_s_guard_knows_upper_from_lower_case(world: World) -> None:
    for n in range(5):
        world.write(f"Docs/{n}.txt", f"document number {n}")
    for n in range(50):
        world.write(f"docs/sub/{n}.txt", f"another document {n}")
    world.run(batch_size=200)
    for path in (world.library / "Docs").iterdir():
        path.unlink()
    assert world.run(folder="Docs")["deletes_withheld"]["count"] == 5


@pytest.mark.parametrize("parsers", [1, 3])
def test_what_is_still_said_of_a_given_up_attempt_does_not_count(world: World, parsers: int) -> None:
    """An item fails while its file is still being parsed, and somebody has it tried again at once."""
    world.configure(parse_workers=parsers, batch_size=1, max_failures_ratio=1.0)
    paragraphs = [f"paragraph {n} of many" for n in range(40)]
    world.write("a.txt", "\n\n".join(["word " * 600, *paragraphs]))
    world.write("z.txt", "another document")
    go, job = Event(), world.jobs.create(world.order())

    class Slow(FakePreparer):
        def _document(self, task: FileTask, record: str, text: str) -> Iterator[Piece]:
            for number, said in enumerate(super()._document(task, record, text)):
                yield said
                if number == 0 and task.path.name == "a.txt":
                    go.wait(10)

    def somebody() -> None:
        wait_until(lambda: bool(world.jobs.items(job["id"], "failed")["items"]))
        world.embedder.space = replace(world.embedder.space, max_tokens=5000)
        world.jobs.retry_item(job["id"], world.jobs.items(job["id"], "failed")["items"][0]["id"])
        wait_until(lambda: not world.jobs.items(job["id"], "pending")["items"])
        go.set()

    world.preparer = Slow()
    person = Thread(target=somebody)
    person.start()
    world.worker().take_one()
    person.join()
    assert newest(world)["state"] == "succeeded", newest(world)["reason"]
    assert world.contents() == world.expected()


def test_a_removal_that_is_skipped_is_not_carried_out(world: World) -> None:
    for n in range(10):
        world.write(f"{n}.txt", f"document number {n}")
    world.run()
    (world.library / "3.txt").unlink()
    job, refused = world.jobs.create(world.order()), list[str]()

    def skip(listing: int) -> None:
        if listing == 1:
            return
        for item in world.jobs.items(job["id"])["items"]:
            with pytest.raises(Exception, match="in_flight"):
                world.jobs.skip_item(job["id"], item["id"])
            refused.append(item["path"])

    world.open_source = lambda job: Watched(Path(job.path), skip)
    world.worker().take_one()
    assert refused == ["3.txt"], "once it has been begun it is too late"
    assert newest(world)["state"] == "succeeded"


class PausedWhileItReads(FakePreparer):
    """Its first file takes until somebody stops it, once `pause` has been called."""

    def __init__(self, pause: Callable[[], object]) -> None:
        super().__init__()
        self.told, self.once = Event(), Once(lambda: pause() and None)
        self.before = self._hold

    def _hold(self, _: FileTask) -> None:
        if self.once():
            assert self.told.wait(60)
            raise Stopped

    def stop(self) -> None:
        self.told.set()
        super().stop()


def test_a_skipped_removal_is_no_skipped_document(world: World) -> None:
    for n in range(10):
        world.write(f"{n}.txt", f"document number {n}")
    world.run()
    (world.library / "3.txt").unlink()
    world.write("4.txt", "document four has changed", OLD + 100)
    world.preparer = PausedWhileItReads(lambda: world.jobs.ask(newest(world)["id"], Verb.PAUSE))
    job = world.run()
    assert job["state"] == "paused"
    (removal,) = (item for item in world.jobs.items(job["id"])["items"] if item["op"] == "delete")
    world.jobs.skip_item(job["id"], removal["id"])
    progress = world.resume(job["id"])["progress"]
    assert (progress["settled"], progress["total"], progress["deleted"]) == (9, 9, 0)
    assert "library/3.txt" in {key for key, _, _ in world.contents()}


def test_a_file_s_failure_does_not_come_true_before_its_records(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its complete records, its failure and other outcomes are due together, in batches of three."""
    world.configure(batch_size=3, max_failures_ratio=1.0)
    records(world, 2)
    world.write("s1.txt", "short")
    world.write("s2.txt", "short")
    world.preparer = Interrupted(DocumentFailed("parser_died", "x", "0" * 64), 2)
    job = world.jobs.create(world.order())

    def die_of_it(point: str) -> None:
        if point == "ledger.after" and world.jobs.items(job["id"], "failed")["items"]:
            raise Died

    with monkeypatch.context() as patched:
        patched.setattr(commit, "reach", die_of_it)
        with pytest.raises(Died):
            world.worker().take_one()
    sweep(world.ledger, Observer(0), world.settings)
    assert world.resume(job["id"])["state"] == "completed_with_errors"
    assert len(world.contents()) == 2


def test_a_passing_trouble_in_the_middle_of_a_new_file_of_records(world: World) -> None:
    records(world, 5)
    world.preparer = Interrupted(TryAgain("io_error", "once"), 3)
    assert world.run(batch_size=1)["state"] == "succeeded"
    assert world.contents() == world.expected()


def test_a_name_that_is_listed_twice_is_one_document(world: World) -> None:
    world.write("a.txt", "a document that is listed twice")
    world.run()
    world.write("a.txt", "a document that is listed twice, changed", OLD + 100)
    world.open_source = lambda job: Twice(Path(job.path))
    job = world.run()
    assert (job["progress"]["discovered"], job["progress"]["done"]) == (1, 1)
    assert world.contents() == world.expected()
    assert world.run()["progress"]["unchanged"] == 1


def test_what_somebody_asked_for_outlives_a_passing_trouble(world: World) -> None:
    world.configure(max_failures_ratio=1.0)
    world.write("a.txt", "DAMAGED as it seems")
    job = world.run()
    troubles: list[Any] = [TryAgain("io_error", "once")]

    def before(_: FileTask) -> None:
        if troubles:
            raise troubles.pop()

    world.preparer.before = before
    world.preparer.parsed.clear()
    world.jobs.ask(job["id"], Verb.RETRY)
    assert world.worker().take_one()
    assert world.preparer.parsed == ["a.txt"]
