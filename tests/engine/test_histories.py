"""Whatever is done in whatever order: what readers find, what the ledger has and what the files say stay the same set."""

import json
import os
import shutil
import sqlite3
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from fcntl import LOCK_EX, LOCK_NB, flock
from pathlib import Path
from threading import Event
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from service import failpoints
from service.core.job import Verb
from service.core.upkeep import Kind
from service.engine.lease import Observer
from service.engine.sweep import sweep
from service.errors import Conflict, NotFound
from service.ledger import collections, versions
from service.maintenance import departures
from service.maintenance.duties import DUTIES
from service.maintenance.generations import Generations, Turn
from service.reader import Collection
from tests.engine.holding import Died
from tests.engine.world import OLD, World

NAMES = st.sampled_from([f"{folder}/{n}.txt" for folder in ("a", "b") for n in range(6)])
WORDS = st.sampled_from(["tide", "pier", "fog", "bell", "gauge", "chart"])
TEXTS = st.lists(WORDS, min_size=1, max_size=9).map(
    lambda words: "\n\n".join(f"paragraph {n} of a {word}" for n, word in enumerate(words))
)
PASSINGS = st.integers(1, 120)


Contents = set[tuple[str, int, str]]


class AtPassing:
    """Armed: something happens at the n-th passing of any point by this thread (a lease's beat passes some at any time)."""

    def __init__(self, left: int, act: Any) -> None:
        self._left, self._act, self._thread = left, act, threading.get_ident()

    def reach(self, _: str) -> None:
        self._left -= threading.get_ident() == self._thread
        if self._left == 0:
            self._left = -1
            self._act()


def keeps_others_out(world: World) -> bool:
    """Whether who stands still here has a lock of the ledger, or that of the manifest."""
    with closing(sqlite3.connect(world.settings.data_dir / "tidestone.db", timeout=0)) as database:
        try:
            database.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError:
            return True
    lock = world.files / "publish.lock"
    with lock.open() as opened:
        try:
            flock(opened, LOCK_EX | LOCK_NB)
        except BlockingIOError:
            return True
    return False


def die() -> None:
    raise Died


@contextmanager
def armed(passing: int, act: Any) -> Iterator[None]:
    failpoints._armed = AtPassing(passing, act)  # type: ignore[assignment]
    try:
        yield
    finally:
        failpoints.arm("")


class Histories(RuleBasedStateMachine):
    """One collection; the model is the folder of files as the last finished job found it."""

    @initialize()
    def begin(self) -> None:
        self.folder = Path(tempfile.mkdtemp(dir="/dev/shm" if Path("/dev/shm").is_dir() else None))
        self.world = World(self.folder)
        self.world.configure(
            batch_size=2, segment_rows=8, max_live_segments=4, merged_rows=12, max_failures_ratio=1.0
        )
        self.clock = OLD
        self.known: dict[int, Contents] = {}  # generation -> what readers found
        self.withdrawn: set[str] = set()
        for n in range(6):
            self.put(f"a/{n}.txt", f"paragraph 0 of document {n}\n\nparagraph 1 of document {n}")
        self.work()

    def put(self, name: str, text: str) -> None:
        self.clock += 10
        self.world.write(name, text, mtime=self.clock)

    @rule(name=NAMES, text=TEXTS)
    def a_file_is_written(self, name: str, text: str) -> None:
        self.put(name, text)

    @rule(records=st.dictionaries(st.sampled_from("pqrs"), TEXTS, min_size=1))
    def a_file_of_records_is_written(self, records: dict[str, str]) -> None:
        lines = (json.dumps({"id": name, "text": text}) for name, text in records.items())
        self.put("records.jsonl", "\n".join(lines))

    @rule(data=st.data())
    def files_are_no_text_any_more(self, data: st.DataObject) -> None:
        files = sorted(path for path in self.world.library.rglob("*") if path.is_file())
        for path in data.draw(st.lists(st.sampled_from(files), max_size=3)) if files else ():
            self.put(str(path.relative_to(self.world.library)), "")
            path.write_bytes(b"\xff\xfe\x00 spoilt")
            os.utime(path, (self.clock, self.clock))

    @rule(data=st.data())
    def a_file_is_moved_or_removed(self, data: st.DataObject) -> None:
        files = sorted(path for path in self.world.library.rglob("*") if path.is_file())
        if len(files) < 2:
            return
        path = data.draw(st.sampled_from(files))
        target = self.world.library / data.draw(NAMES)
        if data.draw(st.booleans()) and path.suffix == ".txt" and not target.exists():
            target.parent.mkdir(exist_ok=True)
            path.rename(target)
        else:
            path.unlink()

    @rule()
    def a_job_runs(self) -> None:
        self.work()

    @rule(passing=PASSINGS)
    def a_worker_dies(self, passing: int) -> None:
        self.order()
        with armed(passing, die), suppress(Died):
            self.world.worker("dying", dead_seconds=0.0).take_one()
        self.settle_the_dead()

    @rule(passing=PASSINGS)
    def a_worker_is_frozen_and_wakes_late(self, passing: int) -> None:
        """While it stands still another one takes over and sees the job through."""
        self.order()

        def be_frozen() -> None:
            self.settle_the_dead()
            self.order()
            self.world.worker("heir", dead_seconds=0.0).take_one()

        with armed(passing, self.unlocked(be_frozen)):
            self.world.worker("frozen", dead_seconds=0.0).take_one()

    @rule(passing=PASSINGS)
    def a_job_is_paused(self, passing: int) -> None:
        job = self.order()

        def pause() -> None:
            if self.world.jobs.get(job)["can"]["pause"]:
                self.world.jobs.ask(job, Verb.PAUSE)

        with armed(passing, self.unlocked(pause)):
            self.world.worker(dead_seconds=0.0).take_one()

    @rule()
    def a_large_merge_is_made_and_left(self) -> None:
        self.world.merger.merge_one(self.row(), Event())
        self.world.duties = {}  # jobs do not take it in before maintenance is done

    @rule(name=NAMES, text=TEXTS)
    def a_large_merge_is_overtaken_by_a_job(self, name: str, text: str) -> None:
        self.a_large_merge_is_made_and_left()
        self.put(name, text)
        self.work()
        self.climb()

    @rule(passing=PASSINGS)
    def maintenance_dies(self, passing: int) -> None:
        with armed(passing, die), suppress(Died):
            self.world.keeper(dead_seconds=0.0).serve_idle("dying", self.world.stop)

    @rule()
    def maintenance_is_done(self) -> None:
        self.climb()

    @rule(data=st.data())
    def a_segment_is_damaged_and_repaired(self, data: st.DataObject) -> None:
        self.climb()
        snapshot = Collection.open(self.world.files).snapshot()
        live = sorted({name for entry in self.manifest()["segments"] for name in self.names(entry)})
        if not live or not snapshot.segments:
            return
        path = self.world.files / data.draw(st.sampled_from(live))
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 1
        path.write_bytes(content)
        self.climb()
        self.work()

    @rule(data=st.data())
    def the_collection_goes_back(self, data: st.DataObject) -> None:
        self.climb()
        self.settle_the_dead()
        generation = data.draw(st.sampled_from(sorted(self.known)))
        turn = Turn(generation, tuple(job["id"] for job in self.world.jobs.listing()["jobs"]))
        try:
            task = self.generations.order("docs", turn)
        except Conflict:  # it is not kept any more, or a job is at work
            return
        before = self.world.contents()
        self.world.keeper(dead_seconds=0.0).serve_idle("tending", self.world.stop)
        done = self.world.orders.get(task["id"])
        if done["state"] == "failed":  # a segment of then was damaged, and its rows are in another one now
            assert "cannot come back" in done["error"]["message"]
            assert self.world.contents() == before
        else:
            assert self.world.contents() == self.left_of(self.known[generation])
        assert self.world.verify()["valid"]

    @rule(name=NAMES)
    def a_document_is_withdrawn(self, name: str) -> None:
        key = f"library/{name}"
        with suppress(NotFound):
            task = departures.withdraw(self.world.orders, "docs", {"key": key})
            self.withdrawn.add(key)
            self.climb()
            assert self.world.orders.get(task["id"])["result"]["verified"]

    @precondition(lambda self: hasattr(self, "world"))
    @invariant()
    def readers_find_what_the_ledger_has(self) -> None:
        """Always, once what is committed has been published."""
        row = self.row()
        if row.published_generation < row.generation:
            return
        self.known[row.generation] = self.world.contents()
        found: dict[int, int] = {}
        for chunk in Collection.open(self.world.files).rows():
            found[chunk.version] = found.get(chunk.version, 0) + 1
        with self.world.ledger.read() as c:
            assert found == dict(versions.live_sizes(c, row.id))
        assert (row.documents, row.vectors) == (len(found), sum(found.values()))

    def unlocked(self, act: Callable[[], None]) -> Callable[[], None]:
        """What others do, at the first passing from then on at which they are not kept out."""

        def begin() -> None:
            if keeps_others_out(self.world):
                failpoints._armed = AtPassing(1, begin)  # type: ignore[assignment]
            else:
                act()

        return begin

    def work(self) -> None:
        """A job, or the unfinished one, to its end: then the collection is what the files say."""
        self.settle_the_dead()
        while True:
            job = self.order()
            view = self.world.jobs.get(job)
            if view["can"]["resume"]:
                self.world.jobs.ask(job, Verb.RESUME)
            assert self.world.worker(dead_seconds=0.0).take_one()
            view = self.world.jobs.get(job)
            assert view["state"] in ("succeeded", "completed_with_errors"), view
            if view["deletes_withheld"]:
                self.world.run(deletes="confirmed", deletes_digest=view["deletes_withheld"]["digest"])
            if self.world.contents() == self.left_of(self.world.expected()):
                break
            # The job had listed the folder before its last changes: the next one sees them.
            assert view["attempt"] > 1, (self.world.contents(), self.world.expected())
        report = self.world.verify()
        assert report["valid"], report

    def order(self) -> str:
        """The unfinished job, resumed if it may be, or a new one."""
        found = self.world.jobs.find(self.world.order())
        if found is None or found["state"] in ("succeeded", "completed_with_errors", "cancelled"):
            return str(self.world.jobs.create(self.world.order())["id"])
        if found["can"]["resume"]:
            self.world.jobs.ask(found["id"], Verb.RESUME)
        return str(found["id"])

    def settle_the_dead(self) -> None:
        sweep(self.world.ledger, Observer(0.0), self.world.settings)

    def climb(self) -> None:
        """Whatever maintenance waits is done, and the start-up ladder is climbed."""
        self.world.duties = DUTIES
        task = self.world.orders.place("docs", Kind.REPAIR)
        self.world.keeper(dead_seconds=0.0).serve_idle("tending", self.world.stop)
        done = self.world.orders.get(task["id"])
        assert done["state"] == "done", done

    def left_of(self, contents: Contents) -> Contents:
        """Without what was withdrawn."""
        return {chunk for chunk in contents if chunk[0] not in self.withdrawn}

    @property
    def generations(self) -> Generations:
        return Generations(self.world.ledger)

    def row(self) -> Any:
        with self.world.ledger.read() as c:
            return collections.by_name(c, "docs")

    def manifest(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.world.files / "manifest.json").read_text())
        return found

    def names(self, entry: dict[str, Any]) -> list[str]:
        return [file["name"] for file in entry["files"].values()]

    def teardown(self) -> None:
        if hasattr(self, "world"):
            self.world.ledger.close()
            shutil.rmtree(self.folder)


def lived(examples: int, steps: int) -> None:
    """That many histories of that many steps."""
    run_state_machine_as_test(  # type: ignore[no-untyped-call]
        Histories,
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            print_blob=True,
            derandomize=examples < 100,  # what runs in every check is always the same
        ),
    )


@pytest.mark.usefixtures("quick")
def test_any_history_keeps_readers_ledger_and_files_the_same() -> None:
    lived(14, 14)


@pytest.mark.soak
@pytest.mark.timeout(0)
@pytest.mark.usefixtures("quick")
def test_many_long_histories_do() -> None:
    lived(400, 40)
