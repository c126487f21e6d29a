"""Take jobs one after the other, and record how each tenure ended."""

import logging
import time
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from threading import Event

from sqlalchemy import Connection

from service.core.job import Fact, State
from service.engine.faults import passing
from service.engine.ingest import GaveUp
from service.engine.lease import Lease, Observer, Wanted
from service.engine.tenure import Tenure
from service.engine.tools import Tools
from service.errors import BadRequest, Corrupt, LeaseLost, NotFound, Refused, TryAgain
from service.index.files import make_folder
from service.ledger import events, items, jobs, metrics, segments, workers
from service.ledger.database import AnyRow, utc_now

IDLE_SECONDS = 0.25
EVENT_DAYS = 7  # that what happened can be replayed
CLEANING_SECONDS = 3600.0
BEAT_SECONDS = 5.0  # between an idle worker's signs of life; at work the lease gives them
HOLD_SECONDS = 10.0  # until a job that waits for a passing condition is tried again
MOST_LOSSES = 3  # unexpected ends without a commit in between

log = logging.getLogger("tidestone.worker")


@dataclass
class Worker:
    """One process's worker; `stop` asks it to end at the next safe point."""

    tools: Tools
    worker_id: str
    stop: Event
    observer: Observer = field(default_factory=Observer)
    next_cleaning: float = 0.0  # monotonic

    def run(self) -> None:
        """Work until `stop` is set."""
        next_beat = 0.0
        unsaid: TryAgain | None = None
        while not self.stop.is_set():
            try:
                if unsaid is not None:
                    self._let_go(unsaid)
                    unsaid = None
                if time.monotonic() >= next_beat:
                    self._beat()
                    next_beat = time.monotonic() + BEAT_SECONDS
                # Maintenance first: it waits only where no job holds its collection, and is short.
                if self.tools.chores.serve_idle(self.worker_id, self.stop) or self.take_one():
                    continue
            except TryAgain as error:  # the ledger is busy or full
                unsaid = error
                log.warning("the ledger does not take what the worker has to say: %s", error)
            self.stop.wait(IDLE_SECONDS)

    def _let_go(self, why: TryAgain) -> None:
        """Hold what was in hand when the ledger did not listen: this worker lives, and will go on with it."""
        with self.tools.ledger.read() as c:
            mine = [job.id for job in jobs.held(c) if job.worker_id == self.worker_id]
        if mine:  # who has nothing in hand has nothing to say for which the reserve would be given up
            self.tools.ledger.insist(lambda c: self._hold_all(c, {"code": why.reason, "message": why.detail}))

    def _hold_all(self, c: Connection, reason: dict[str, str]) -> None:
        for job in jobs.held(c):
            if job.worker_id == self.worker_id and job.state != State.CANCELLING:
                items.take_back_all(c, job.id)
                running = job.state == State.RUNNING
                jobs.apply(c, job, Fact.HELD, reason=reason if running else None, stage="")

    def _beat(self) -> None:
        with self.tools.ledger.write() as c:
            workers.beat(c, self.worker_id)
            if time.monotonic() >= self.next_cleaning:
                horizon = datetime.now(UTC) - timedelta(days=EVENT_DAYS)
                events.forget_before(c, horizon.isoformat(timespec="microseconds"))
                self.next_cleaning = time.monotonic() + CLEANING_SECONDS

    def take_one(self) -> bool:
        """Take the first job that can be taken, and see it through; False when there is none."""
        with self.tools.ledger.read() as c:
            waiting = jobs.waiting(c)
        return any(self.try_job(job) for job in waiting if _is_due(job))

    def try_job(self, job: AnyRow) -> bool:
        """Work on one job if its collection's lease can be had; False when somebody else has it."""
        try:
            lease = self._lease_for(job)
        except OSError as error:
            why = passing(error) or TryAgain("not_writable", f"{error}: make data_dir writable for this user")
            self._note_waiting(job, why.reason, why.detail)
            return False
        except NotFound:  # its collection was deleted just now
            return False
        except TryAgain as error:
            if error.reason == "disk_low":  # not even the lease finds room: nobody else will say so
                self._note_waiting(job, error.reason, error.detail)
            raise
        if lease is None:
            return False  # whoever sweeps says so
        try:
            return self._with_lease(job, lease)
        except LeaseLost:  # also while an error was being recorded
            log.warning("lost the lease of %s; dropping what is in hand", job.collection)
            return True
        finally:
            lease.release()

    def _lease_for(self, job: AnyRow) -> Lease | None:
        folder = self.tools.settings.folder(job.collection)
        for made in (folder.parent, folder):
            make_folder(made)  # it carries the lock that proves a dead holder dead
        wanted = Wanted(job.collection_id, job.id)
        return Lease.take(self.tools.ledger, self.observer, wanted, folder, self.worker_id)

    def _note_waiting(self, job: AnyRow, code: str, message: str) -> None:
        if (job.reason or {}).get("code") == code:
            return

        def note(c: Connection) -> None:
            if jobs.get(c, job.id).state == State.QUEUED:  # not one that another worker has just taken
                jobs.note(c, job.id, "waiting", reason={"code": code, "message": message})

        with suppress(NotFound):
            self.tools.ledger.insist(note)

    def _with_lease(self, job: AnyRow, lease: Lease) -> bool:
        with lease.write() as c:
            job = jobs.get(c, job.id)
            if job.state not in (State.QUEUED, State.CANCELLING):
                return False  # settled by somebody else a moment ago
            started = job.started_at or utc_now()
            changes = {"worker_id": self.worker_id, "attempt": job.attempt + 1, "started_at": started}
            changes |= {"leased_at": utc_now(), "phase": "backfilling", "paused_at_checkpoint": None}
            goes_on = job.attempt > 0 and "retry_at" not in (job.reason or {})
            job = jobs.apply(c, job, Fact.LEASED, reason=None, **changes)
        lease.watch(job.id, lambda c: self.tools.chores.waiting(c, lease.collection_id))
        try:
            tenure = self.tools.tenures.get(job.service, Tenure)
            tenure(self.tools, self.stop, job, lease, goes_on).see_through()
        except LeaseLost:
            raise
        except TryAgain as error:
            self._hold(job, lease, error.reason, error.detail)
        except Corrupt as error:
            self._suspect(job, lease, error)
        except (Refused, BadRequest, GaveUp) as error:
            code = "too_many_failures" if isinstance(error, GaveUp) else "refused"
            self._give_up(job, lease, code, str(error))
        except Exception as error:
            if (why := passing(error)) is not None:
                self._hold(job, lease, why.reason, why.detail)
            else:
                log.exception("job %s ended unexpectedly", job.id)
                self._unexpected(job, lease, error)
        return True

    def _hold(self, job: AnyRow, lease: Lease, code: str, message: str) -> None:
        retry_at = (datetime.now(UTC) + timedelta(seconds=HOLD_SECONDS)).isoformat(timespec="microseconds")
        reason = {"code": code, "message": message, "retry_at": retry_at}

        def hold(c: Connection) -> None:
            lease.hold(c)
            items.take_back_all(c, job.id)
            row = jobs.get(c, job.id)
            # A job that somebody wants paused or cancelled does not wait for anything.
            jobs.apply(c, row, Fact.HELD, reason=reason if row.state == State.RUNNING else None, stage="")
            metrics.add(c, "ingest_checkpoint_failures_total", 1, reason=code)

        self.tools.ledger.insist(hold)  # often just because the disk is full

    def _suspect(self, job: AnyRow, lease: Lease, error: Corrupt) -> None:
        """The next tenure's recovery looks into the file before anything else."""
        with lease.write() as c:
            segments.suspect(c, lease.collection_id, f"{error.path.parent.name}/{error.path.name}")
            items.take_back_all(c, job.id)
            jobs.happen(c, job.id, Fact.HELD, reason={"code": "damaged", "message": str(error)})

    def _give_up(self, job: AnyRow, lease: Lease, code: str, message: str) -> None:
        with lease.write() as c:
            items.take_back_all(c, job.id)
            jobs.happen(c, job.id, Fact.GAVE_UP, reason={"code": code, "message": message})

    def _unexpected(self, job: AnyRow, lease: Lease, error: Exception) -> None:
        with lease.write() as c:
            losses = jobs.get(c, job.id).losses + 1
            jobs.note(c, job.id, "error", losses=losses)
        message = f"{type(error).__name__}: {error}"
        if losses >= MOST_LOSSES:
            self._give_up(job, lease, "unexpected", message)
        else:
            self._hold(job, lease, "unexpected", message)


def _is_due(job: AnyRow) -> bool:
    retry_at = (job.reason or {}).get("retry_at")
    if retry_at is None or retry_at <= utc_now():
        return True
    # Further away than any hold lasts: the clock has been set back since.
    return datetime.fromisoformat(retry_at) > datetime.now(UTC) + timedelta(seconds=2 * HOLD_SECONDS)
