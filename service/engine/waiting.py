"""Why queued jobs wait: any long-lived process tells those whom nobody has told."""

from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Connection

from service.core.job import State
from service.errors import NotFound
from service.ledger import jobs, leases, workers
from service.ledger.database import AnyRow, Ledger

FRESH_SECONDS = 1.0  # a job that was queued so recently may be taken before it could be read why it waits
SILENT_SECONDS = 60.0  # after which a worker that holds no job does not count as alive
OURS = ("waiting_for_collection", "waiting_for_worker", "no_worker")  # other reasons are others' to take back


def explain(ledger: Ledger) -> None:
    """Give every queued job its reason. Raises TryAgain."""
    with ledger.read() as c:
        told = [(job, reason) for job in _untold(c) if (reason := _why(c, job)) != job.reason]
    for job, reason in told:
        with suppress(NotFound), ledger.write() as c:  # not found: its collection was deleted just now
            now = jobs.get(c, job.id)
            if now.version == job.version:
                jobs.note(c, job.id, "waiting", reason=reason)


def working(c: Connection) -> Sequence[AnyRow]:
    """The workers that are alive; one that holds a job is judged by its lease, not here."""
    held = {job.worker_id for job in jobs.held(c)}
    since = (datetime.now(UTC) - timedelta(seconds=SILENT_SECONDS)).isoformat()
    return [worker for worker in workers.alive(c) if worker.id in held or worker.beat_at > since]


def _untold(c: Connection) -> list[AnyRow]:
    before = (datetime.now(UTC) - timedelta(seconds=FRESH_SECONDS)).isoformat()
    queued = [job for job in jobs.waiting(c) if job.state == State.QUEUED and job.updated_at < before]
    return [job for job in queued if job.reason is None or job.reason["code"] in OURS]


def _why(c: Connection, job: AnyRow) -> dict[str, Any] | None:
    held = jobs.held(c)
    for other in held:
        if other.collection_id == job.collection_id:
            return {"code": OURS[0], "message": f"job {other.id} holds the collection"}
    lease = leases.read(c, job.collection_id)
    if lease.holder and not lease.job_id:
        return {"code": OURS[0], "message": "maintenance of the collection is under way"}
    busy = {other.worker_id for other in held}
    alive = working(c)
    if alive and all(worker.id in busy for worker in alive):
        names = ", ".join(other.id for other in held)
        return {"code": OURS[1], "message": f"every worker is busy ({names})"}
    if not alive:
        return {
            "code": OURS[2],
            "message": "no worker is running: start `tidestone serve` or `tidestone worker`",
        }
    return None
