"""Serve maintenance tasks: between the commits of a job, or under a lease of their own."""

import logging
import re
import time
from collections.abc import Callable, Collection, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from threading import Event

from sqlalchemy import Connection

from service.core.upkeep import BESIDE_A_JOB, Kind
from service.engine.faults import passing
from service.engine.holding import Holding
from service.engine.ingest import Interrupted
from service.engine.lease import Lease, Observer, Wanted
from service.engine.owner import MAINTENANCE
from service.engine.publish import publish
from service.engine.recover import recover
from service.engine.repair import take_out
from service.engine.settings import EngineSettings
from service.errors import (
    BadRequest,
    Conflict,
    Corrupt,
    LeaseLost,
    NotFound,
    Refused,
    TidestoneError,
    TryAgain,
)
from service.index.files import make_folder
from service.ledger import collections, metrics, segments, tasks
from service.ledger.database import AnyRow, Ledger, store_identity
from service.maintenance.work import Dropped, Duty, Result, Work
from service.ports import Embedder

REFUSALS = (BadRequest, Conflict, NotFound, Refused)
MOST_ATTEMPTS = 5  # of a task that keeps ending in a way nobody expected
MOST_DEATHS = 10  # of workers with the same task in hand, in a row: some may be kills that mean nothing
RETRY_SECONDS = 5.0
PUBLISH_SECONDS = 10.0  # between two tries to publish for somebody who is gone

log = logging.getLogger("tidestone.maintenance")


@dataclass
class Keeper:
    """Does what is waiting; one per process."""

    ledger: Ledger
    settings: EngineSettings
    duties: Mapping[Kind, Duty]
    observer: Observer = field(default_factory=Observer)
    beside_a_job: Collection[Kind] = BESIDE_A_JOB
    embedder: Embedder | None = None  # for a repair
    _published: dict[str, float] = field(
        default_factory=dict
    )  # collection id -> when it was tried (monotonic)

    def waiting(self, c: Connection, collection_id: str) -> bool:
        """Whether a task waits that may be done beside a job."""
        return tasks.is_open(c, collection_id, self._beside())

    def serve(self, holding: Holding, check: Callable[[], None]) -> None:
        """Do such tasks, oldest first, until none is due. Raises what ends a tenure."""
        self._serve(holding, check, self._beside())

    def _beside(self) -> Collection[Kind]:
        return [kind for kind in self.duties if kind in self.beside_a_job]

    def serve_idle(self, holder: str, stop: Event) -> bool:
        """Do what waits for collections whose lease is free; whether there was anything.

        What somebody has committed and could not publish waits too: nobody may come to do it with other work.
        """
        with self.ledger.read() as c:
            waiting = [row.collection_id for row in tasks.collections_with_open(c)]
            waiting += filter(self._may_try, collections.unpublished(c))
        # Each gets its turn, so no generator.
        served = [self.serve_collection(each, holder, stop) for each in dict.fromkeys(waiting)]
        return any(served)

    def _may_try(self, collection_id: str) -> bool:
        """Whether the last try to publish was long ago: where it fails, it fails for a while."""
        now = time.monotonic()
        if now - self._published.get(collection_id, -PUBLISH_SECONDS) < PUBLISH_SECONDS:
            return False
        self._published[collection_id] = now
        return True

    def serve_collection(self, collection_id: str, holder: str, stop: Event) -> bool:
        """Do what waits for one collection; False where somebody else has its lease, or nothing was due."""
        try:
            lease = self._lease(collection_id, holder)
        except (NotFound, OSError) as error:
            self._cannot(self.ledger.write(), collection_id, error)
            return False
        if lease is None:
            return False
        try:
            return self._under(lease, stop)
        except LeaseLost:
            log.warning("lost the lease of %s; dropping its maintenance", collection_id)
            return True
        except (Dropped, NotFound):  # gone with its tasks: now, or between our lease and our first look
            log.info("collection %s is deleted", collection_id)
            return True
        except (Interrupted, Corrupt):
            return True
        except TryAgain as error:
            log.warning("maintenance of %s has to wait: %s", collection_id, error)
            return False
        finally:
            lease.release()

    def _lease(self, collection_id: str, holder: str) -> Lease | None:
        with self.ledger.read() as c:
            folder = self.settings.folder(collections.by_id(c, collection_id).name)
        for made in (folder.parent, folder):
            make_folder(made)
        return Lease.take(self.ledger, self.observer, Wanted(collection_id), folder, holder)

    def _under(self, lease: Lease, stop: Event) -> bool:
        def check() -> None:
            if lease.lost:
                raise LeaseLost("another worker holds the collection")
            if stop.is_set():
                raise Interrupted

        with self.ledger.write() as c:
            store_id = store_identity(c).store_id
        holding = Holding.of(self.ledger, self.settings, lease, store_id)
        try:
            as_it_is = [kind for kind, duty in self.duties.items() if duty.as_it_is]
            served = self._serve(holding, check, as_it_is)
            others = [kind for kind in self.duties if kind not in as_it_is]
            with self.ledger.read() as c:
                row = collections.by_id(c, lease.collection_id)
                is_published = row.published_generation == row.generation
                if is_published and not tasks.is_open(c, row.id, others):
                    return served
            if self._climb(holding):
                self._serve(holding, check, others)
            return True
        finally:
            holding.state.close()

    def _climb(self, holding: Holding) -> bool:
        """The start-up ladder; False where it cannot be climbed: then no task can be done that needs it."""
        try:
            damaged = recover(self.ledger, holding.lease, holding.state)
            if damaged:
                take_out(self.ledger, holding.committer, holding.state, MAINTENANCE, damaged)
            if holding.state.generation:
                publish(self.ledger, holding.lease, holding.state)
        except (Refused, OSError) as error:
            self._cannot(holding.lease.write(), holding.state.id, error)
            return False
        return True

    def _cannot(
        self, writing: AbstractContextManager[Connection], collection_id: str, error: Exception
    ) -> None:
        """Nothing that waits can be done: refused for good, or put off where the condition may pass.

        What only repairs is not refused where the ladder was the obstacle.
        """
        kinds = [
            kind for kind, duty in self.duties.items() if not (isinstance(error, Refused) and duty.as_it_is)
        ]
        told = set[str]()
        with writing as c:
            while (due := tasks.next_open(c, collection_id, kinds)) is not None and due.id not in told:
                told.add(due.id)  # it may be due again at once
                if isinstance(error, REFUSALS):
                    tasks.fail(c, due.id, code_of(error), str(error))
                else:
                    tasks.put_back(c, due.id, RETRY_SECONDS, code_of(error), str(error))

    def _serve(self, holding: Holding, check: Callable[[], None], kinds: Collection[Kind]) -> bool:
        served = False
        while True:
            check()
            with holding.lease.write() as c:
                self._give_up_what_kills(c, holding.state.id, kinds)
                due = tasks.next_open(c, holding.state.id, kinds)
                begun = due and tasks.begin(c, due.id, holding.lease.token)
            if begun is None:
                return served
            served = True
            self._do(Work(begun, holding, check, self.embedder))

    def _give_up_what_kills(self, c: Connection, collection_id: str, kinds: Collection[Kind]) -> None:
        """A task for which there is not enough memory, say, would end one worker after the other, and no job would run."""
        while (due := tasks.next_open(c, collection_id, kinds)) is not None and tasks.deaths(
            due
        ) >= MOST_DEATHS:
            message = f"{MOST_DEATHS} workers in a row have ended with it: see whether it had enough memory"
            tasks.fail(c, due.id, "worker_gone", message)
            metrics.add(c, "ingest_maintenance_total", 1, kind=due.kind, outcome="failed")

    def _do(self, work: Work) -> None:
        """One task. What it raises beyond a refusal ends the lease: nothing is retried under the same token."""
        started = time.monotonic()
        task, lease = work.task, work.holding.lease
        try:
            result = self.duties[Kind(task.kind)].run(work)
        except Dropped:
            raise
        except REFUSALS as error:
            self._fail(lease, task, error, str(error))
        except (LeaseLost, Interrupted):
            self._later(lease, task, 0.0, "interrupted", "its worker was told to stop")
            raise
        except (Corrupt, TryAgain) as error:
            self._unexpected(work, error)
            raise
        except Exception as error:
            if (why := passing(error)) is not None:
                self._unexpected(work, why)
                raise why from error
            log.exception("%s of %s ended unexpectedly", task.kind, task.collection)
            self._unexpected(work, error)
            raise TryAgain("maintenance", f"{task.kind} ended unexpectedly: {error}") from error
        else:
            self._finish(lease, task, result)
        log.info("%s of %s took %.1f s", task.kind, task.collection, time.monotonic() - started)

    def _unexpected(self, work: Work, error: Exception) -> None:
        task, lease = work.task, work.holding.lease
        message = str(error) if isinstance(error, TidestoneError) else f"{type(error).__name__}: {error}"
        if isinstance(error, Corrupt):
            with lease.write() as c:
                segments.suspect(c, lease.collection_id, f"{error.path.parent.name}/{error.path.name}")
        if task.attempts >= MOST_ATTEMPTS and not isinstance(error, TryAgain):
            self._fail(lease, task, error, message)
        else:
            self._later(lease, task, RETRY_SECONDS, code_of(error), message)

    def _finish(self, lease: Lease, task: AnyRow, result: Result) -> None:
        with lease.write() as c:
            tasks.finish(c, task.id, result)
            metrics.add(c, "ingest_maintenance_total", 1, kind=task.kind, outcome="done")

    def _fail(self, lease: Lease, task: AnyRow, error: Exception, message: str) -> None:
        with lease.write() as c:
            tasks.fail(c, task.id, code_of(error), message)
            metrics.add(c, "ingest_maintenance_total", 1, kind=task.kind, outcome="failed")

    def _later(self, lease: Lease, task: AnyRow, wait_seconds: float, code: str, message: str) -> None:
        if lease.lost:
            return  # its successor begins it anew
        with lease.write() as c:
            tasks.put_back(c, task.id, wait_seconds, code, message)


def code_of(error: Exception) -> str:
    """What programs call an error."""
    if isinstance(error, TryAgain):
        return error.reason
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", type(error).__name__).lower()
