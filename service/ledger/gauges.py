"""Figures over all jobs, documents and workers, for metrics."""

from collections.abc import Sequence

from sqlalchemy import Connection, func, select

from service.core.job import UNFINISHED, State
from service.ledger.database import AnyRow
from service.ledger.schema import documents, jobs, metrics, workers


def newest_jobs(c: Connection) -> Sequence[AnyRow]:
    """(service, state, number): the newest job of every service in every state it has one in."""
    newest = func.max(jobs.c.number).label("number")
    return c.execute(
        select(jobs.c.service, jobs.c.state, newest).group_by(jobs.c.service, jobs.c.state)
    ).all()


def last_checkpoints(c: Connection) -> dict[str, str]:
    """Service -> when its last checkpoint was made."""
    at = func.max(jobs.c.checkpoint["at"].as_string())
    return _by_service(c.execute(select(jobs.c.service, at).group_by(jobs.c.service)).all())


def last_successes(c: Connection) -> dict[str, str]:
    """Service -> when a job of its last succeeded."""
    at = func.max(jobs.c.finished_at)
    succeeded = jobs.c.state == State.SUCCEEDED
    return _by_service(c.execute(select(jobs.c.service, at).where(succeeded).group_by(jobs.c.service)).all())


def pending_items(c: Connection) -> int:
    """Documents that unfinished jobs have found and not settled; from the counters, not by counting items."""
    settled = jobs.c.done + jobs.c.unchanged + jobs.c.skipped + jobs.c.failed + jobs.c.known_failed
    pending = func.sum(func.coalesce(jobs.c.total, jobs.c.discovered) - settled)
    found = c.execute(select(pending).where(jobs.c.state.in_(UNFINISHED))).scalar()
    return max(int(found or 0), 0)


def quarantined_documents(c: Connection, collection_id: str) -> int:
    """Documents of a collection that failed; reads all of its documents."""
    mine = (documents.c.collection_id == collection_id) & (documents.c.state == "failed")
    return c.execute(select(func.count()).select_from(documents).where(mine)).scalar_one()


def bytes_per_second(c: Connection, least_seconds: float) -> float | None:
    """How fast jobs have read, embedded and committed so far, in bytes of their files; None: not enough is known."""
    read = c.execute(select(func.sum(jobs.c.bytes)).where(jobs.c.bytes > 0)).scalar()
    took = (metrics.c.name == "ingest_stage_duration_seconds_sum") & (metrics.c.labels == "stage=embed")
    seconds = c.execute(select(metrics.c.value).where(took)).scalar()
    return float(read) / seconds if read and seconds and seconds >= least_seconds else None


def newest_beat(c: Connection) -> str | None:
    """When any worker, ended or not, last gave a sign of life."""
    return c.execute(select(func.max(workers.c.beat_at))).scalar()


def _by_service(rows: Sequence[AnyRow]) -> dict[str, str]:
    return {service: at for service, at in rows if at is not None}
