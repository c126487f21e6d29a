"""Settle jobs whose worker is gone."""

import time
from pathlib import Path

from sqlalchemy import Connection

from service.core.job import Fact, State
from service.engine.lease import BEAT_SECONDS, Observer
from service.engine.settings import EngineSettings
from service.engine.waiting import explain
from service.errors import NotFound, TryAgain
from service.ledger import jobs, leases
from service.ledger.database import AnyRow, Ledger

MOST_LOSSES = 3  # of a job's workers without a commit in between


def sweep(ledger: Ledger, observer: Observer, settings: EngineSettings, supervised: str = "") -> int:
    """Settle jobs whose worker is dead, and say why others wait; any long-lived process may do it, often.

    Returns how many were settled.

    Of a `supervised` worker's death its supervisor hears (see `worker_lost`): the free lock settles nothing then.
    Its silence does, since it may be frozen.
    """
    ledger.keep_reserve()
    explain(ledger)
    with ledger.read() as c:
        held = jobs.held(c)
    return sum(_settle_if_dead(ledger, observer, settings, job, job.worker_id != supervised) for job in held)


def worker_lost(ledger: Ledger, worker_id: str) -> None:
    """A supervisor that lives on has seen its worker die: the job goes on, unless that has not helped so far."""
    with ledger.write() as c:
        for job in jobs.held(c):
            if job.worker_id != worker_id or job.state == State.CANCELLING:
                continue
            if job.state == State.RUNNING and job.losses < MOST_LOSSES:
                reason = {"code": "worker_lost", "message": "its worker ended; a new one takes over"}
                jobs.apply(c, job, Fact.WORKER_LOST, losses=job.losses + 1, reason=reason, stage="")
            else:
                _interrupt(c, job, "worker_lost", "its worker ended again and again without a checkpoint")


def resume_interrupted(ledger: Ledger) -> int:
    """At service start with `auto_resume`: interrupted jobs, and only they, are queued. Returns how many."""
    with ledger.write() as c:
        interrupted = jobs.listing(c, state=State.INTERRUPTED, limit=10_000)
        for job in interrupted:
            jobs.apply(c, job, Fact.AUTO_RESUMED, reason=None, losses=0)
    return len(interrupted)


def _settle_if_dead(
    ledger: Ledger, observer: Observer, settings: EngineSettings, job: AnyRow, by_lock: bool
) -> bool:
    folder = settings.folder(job.collection)
    try:
        with ledger.read() as c:  # most are alive, and looking takes a while: not under the write lock
            if not _is_abandoned(c, observer, folder, job.id, by_lock):
                return False
        asked = time.monotonic()
        with ledger.write() as c:
            # Where we had to wait for the ledger, so had a worker with its beat: it goes first.
            if time.monotonic() - asked > BEAT_SECONDS or not _is_abandoned(
                c, observer, folder, job.id, by_lock
            ):
                return False
            _fence(c, job)
            message = "its worker is gone; resume to go on from the last checkpoint"
            _interrupt(c, jobs.get(c, job.id), "worker_gone", message)
            return True
    except TryAgain:
        observer.forget(job.collection_id)
        return False
    except NotFound:  # its collection was deleted just now
        return False


def _is_abandoned(c: Connection, observer: Observer, folder: Path, job_id: str, by_lock: bool) -> bool:
    job = jobs.get(c, job_id)
    if job.state not in (State.RUNNING, State.PAUSING):
        return False
    lease = leases.read(c, job.collection_id)
    return lease.job_id != job.id or observer.is_dead(c, job.collection_id, folder, by_lock)


def _fence(c: Connection, job: AnyRow) -> None:
    """A worker that was only frozen must not go on with a job that is settled."""
    lease = leases.read(c, job.collection_id)
    if lease.job_id == job.id:
        leases.take(c, lease, holder="", job_id="", lock_host="")


def _interrupt(c: Connection, job: AnyRow, code: str, message: str) -> None:
    reason = None if job.state == State.PAUSING else {"code": code, "message": message}
    jobs.apply(c, job, Fact.STOPPED, reason=reason, stage="")
