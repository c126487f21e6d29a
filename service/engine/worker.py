"""Take jobs one after the other: lease, recovery, listing, work, outcome."""

import logging
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from threading import Event

from service.core.job import Fact, State
from service.engine.collections import check_space
from service.engine.commit import Committer
from service.engine.ingest import GaveUp, Ingest, Interrupted
from service.engine.lease import Lease, Observer
from service.engine.listing import Listing, Terms
from service.engine.merge import merge_if_needed
from service.engine.owner import Owner
from service.engine.publish import publish
from service.engine.recall import Recall
from service.engine.recover import count_restore, recover
from service.engine.repair import take_out
from service.engine.state import CollectionState
from service.engine.tools import Tools
from service.errors import BadRequest, Corrupt, LeaseLost, Refused, TryAgain
from service.index.files import make_folder
from service.ledger import items, jobs, metrics, segments, workers
from service.ledger.database import AnyRow, utc_now

IDLE_SECONDS = 0.25
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

    def run(self) -> None:
        """Work until `stop` is set."""
        next_beat = 0.0
        while not self.stop.is_set():
            try:
                if time.monotonic() >= next_beat:
                    with self.tools.ledger.write() as c:
                        workers.beat(c, self.worker_id)
                    next_beat = time.monotonic() + BEAT_SECONDS
                if self.take_one():
                    continue
            except TryAgain as error:  # the ledger is busy or full; a job that was in hand is swept up
                log.warning("the ledger does not take what the worker has to say: %s", error)
            self.stop.wait(IDLE_SECONDS)

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
            self._note_waiting(job, "not_writable", f"{error}: make data_dir writable for this user")
            return False
        if lease is None:
            self._note_waiting(job, "waiting_for_collection", "another job holds the collection")
            return False
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
        return Lease.take(self.tools.ledger, self.observer, job, folder, self.worker_id)

    def _note_waiting(self, job: AnyRow, code: str, message: str) -> None:
        if job.state == State.QUEUED and (job.reason or {}).get("code") != code:
            with self.tools.ledger.write() as c:
                jobs.note(c, job.id, "waiting", reason={"code": code, "message": message})

    def _with_lease(self, job: AnyRow, lease: Lease) -> bool:
        with self.tools.ledger.write() as c:
            lease.hold(c)
            job = jobs.get(c, job.id)
            if job.state not in (State.QUEUED, State.CANCELLING):
                return False  # settled by somebody else a moment ago
            started = job.started_at or utc_now()
            changes = {"worker_id": self.worker_id, "attempt": job.attempt + 1, "started_at": started}
            job = jobs.apply(c, job, Fact.LEASED, reason=None, **changes)
        lease.watch(job.id)
        try:
            Tenure(self, job, lease).see_through()
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
            log.exception("job %s ended unexpectedly", job.id)
            self._unexpected(job, lease, error)
        return True

    def _hold(self, job: AnyRow, lease: Lease, code: str, message: str) -> None:
        retry_at = (datetime.now(UTC) + timedelta(seconds=HOLD_SECONDS)).isoformat(timespec="microseconds")
        reason = {"code": code, "message": message, "retry_at": retry_at}
        with self.tools.ledger.write() as c:
            lease.hold(c)
            items.take_back_all(c, job.id)
            row = jobs.get(c, job.id)
            # A job that somebody wants paused or cancelled does not wait for anything.
            jobs.apply(c, row, Fact.HELD, reason=reason if row.state == State.RUNNING else None, stage="")
            metrics.add(c, "ingest_checkpoint_failures_total", 1, reason=code)

    def _suspect(self, job: AnyRow, lease: Lease, error: Corrupt) -> None:
        """The next tenure's recovery looks into the file before anything else."""
        with self.tools.ledger.write() as c:
            lease.hold(c)
            segments.suspect(c, lease.collection_id, f"{error.path.parent.name}/{error.path.name}")
            items.take_back_all(c, job.id)
            jobs.happen(c, job.id, Fact.HELD, reason={"code": "damaged", "message": str(error)})

    def _give_up(self, job: AnyRow, lease: Lease, code: str, message: str) -> None:
        with self.tools.ledger.write() as c:
            lease.hold(c)
            items.take_back_all(c, job.id)
            jobs.happen(c, job.id, Fact.GAVE_UP, reason={"code": code, "message": message})

    def _unexpected(self, job: AnyRow, lease: Lease, error: Exception) -> None:
        with self.tools.ledger.write() as c:
            lease.hold(c)
            losses = jobs.get(c, job.id).losses + 1
            jobs.note(c, job.id, "error", losses=losses)
        message = f"{type(error).__name__}: {error}"
        if losses >= MOST_LOSSES:
            self._give_up(job, lease, "unexpected", message)
        else:
            self._hold(job, lease, "unexpected", message)


class Tenure:
    """One job under one lease."""

    def __init__(self, worker: Worker, job: AnyRow, lease: Lease) -> None:
        self._worker, self._job, self._lease = worker, job, lease
        self._tools = worker.tools
        with self._tools.ledger.read() as c:
            folder = self._tools.settings.folder(job.collection)
            self._state = CollectionState.load(c, job.collection_id, folder, self._tools.store_id)
        self._owner = Owner(job.id, job.service, job.source_id, self._tools.preparer.recipe.fingerprint)
        self._committer = Committer(self._tools.ledger, lease, self._state)

    def see_through(self) -> None:
        """Recover, then work until the job is settled. Raises what the work raises."""
        try:
            self._recover()
            if self._job.state == State.CANCELLING:
                self._settle(Fact.CHECKPOINTED)
                return
            check_space(self._state.space, self._tools.embedder.space)
            while not self._work():
                pass
        finally:
            self._state.close()

    def _recover(self) -> None:
        damaged = recover(self._tools.ledger, self._lease, self._state)
        with self._tools.ledger.write() as c:
            self._lease.hold(c)
            items.recover(c, self._job.id)
        if damaged:
            take_out(self._tools.ledger, self._committer, self._state, self._owner, damaged)
            count_restore(self._tools.ledger, "repaired")
        elif self._job.attempt > 1:
            count_restore(self._tools.ledger, "clean")
        if self._state.generation:
            publish(self._tools.ledger, self._lease, self._state)

    def _work(self) -> bool:
        """Work until the end or a wish; False when the wish was taken back meanwhile."""
        ingest = Ingest(
            self._tools,
            self._lease,
            self._committer,
            Recall(self._tools.ledger, self._state, self._owner.recipe),
            self._job,
            self._owner,
            self._tools.open_source(self._job),
            self._worker.stop,
            lambda: merge_if_needed(
                self._tools.ledger,
                self._lease,
                self._state,
                self._owner,
                self._tools.settings.max_live_segments,
            ),
        )
        try:
            self._list_if_needed(ingest)
            ingest.work()
            self._publish_for_certain(ingest)
        except Interrupted:
            ingest.save_what_is_embedded()
            return self._settle(Fact.CHECKPOINTED)
        except (TryAgain, GaveUp):
            ingest.drop_what_is_queued()
            raise
        return self._finish()

    def _list_if_needed(self, ingest: Ingest) -> None:
        job, options = self._job, self._job.options
        if job.total is not None:
            return
        terms = Terms(
            job_id=job.id,
            source_id=job.source_id,
            root=job.root,
            recipe=self._owner.recipe,
            fresh=options.get("mode") == "fresh",
            deletes=options["deletes"],
            deletes_digest=options.get("deletes_digest", ""),
        )
        started = time.monotonic()
        Listing(self._tools.ledger, self._lease, ingest.source, terms, ingest.check).run()
        with self._tools.ledger.write() as c:
            self._job = jobs.get(c, job.id)
            seconds = time.monotonic() - started
            metrics.observe(c, "ingest_stage_duration_seconds", seconds, stage="list")

    def _publish_for_certain(self, ingest: Ingest) -> None:
        """Success is recorded last: not before readers can see it."""
        said = False
        while self._state.generation and not publish(self._tools.ledger, self._lease, self._state):
            if not said:
                with self._tools.ledger.write() as c:
                    reason = {
                        "code": "publish_failing",
                        "message": "the manifest cannot be replaced; trying on",
                    }
                    jobs.note(c, self._job.id, "waiting", reason=reason)
                said = True
            ingest.check()
            time.sleep(IDLE_SECONDS)

    def _finish(self) -> bool:
        with self._tools.ledger.write() as c:
            self._lease.hold(c)
            row = jobs.get(c, self._job.id)
            if items.open_count(c, row.id):  # somebody wants a failed item tried again, just now
                self._job = row
                return False
            withheld = row.deletes_withheld is not None or row.folders_unreadable is not None
            imperfect = row.failed > 0 or withheld
            fact = Fact.SOME_QUARANTINED if imperfect else Fact.ALL_DONE
            jobs.apply(c, row, fact, stage="", reason=None, phase="idle")
        return True

    def _settle(self, fact: Fact) -> bool:
        """A wish or SIGTERM has been obeyed; False when there is no such wish any more."""
        with self._tools.ledger.write() as c:
            self._lease.hold(c)
            row = jobs.get(c, self._job.id)
            generation = self._state.generation
            if row.state == State.PAUSING:
                jobs.apply(c, row, fact, paused_at_checkpoint=generation, stage="")
                metrics.observe(c, "ingest_pause_latency_seconds", _seconds_since(row.wished_at))
            elif row.state == State.CANCELLING:
                jobs.apply(c, row, fact, stage="")
            elif self._worker.stop.is_set():
                reason = {"code": "stopped", "message": "the worker was told to end; resume to go on"}
                jobs.apply(c, row, Fact.STOPPED, paused_at_checkpoint=generation, reason=reason, stage="")
            else:
                self._job = row
                self._lease.watch(row.id)  # the wish that it knows is out of date
                return False
        return True


def _seconds_since(at: str) -> float:
    return (datetime.now(UTC) - datetime.fromisoformat(at)).total_seconds()


def _is_due(job: AnyRow) -> bool:
    retry_at = (job.reason or {}).get("retry_at")
    return retry_at is None or retry_at <= utc_now()
