"""What REST and the command line show of ledger rows."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection

from service.core.job import State, Verb
from service.core.progress import eta_seconds, rate_per_second
from service.ledger import events, jobs, segments, versions
from service.ledger.database import AnyRow

_RATE_POINTS = 6
_SURE_POINTS = 3
_TIMES = ("created_at", "started_at", "updated_at", "wished_at", "finished_at")


def job_view(c: Connection, row: AnyRow) -> dict[str, Any]:
    """A job with its progress, its last checkpoint, and what it can do now."""
    possible, _ = jobs.allowed(c, row)
    return {
        "id": row.id,
        "collection": row.collection,
        "source": {
            "type": row.type,
            "root": row.root,
            "path": row.path,
            "folder": row.options.get("folder", ""),
        },
        "options": row.options,
        "state": row.state,
        "desired_state": row.desired_state,
        "stage": row.stage,
        "phase": row.phase,
        "reason": row.reason,
        "attempt": row.attempt,
        "version": row.version,
        "progress": progress_of(c, row),
        "deletes_withheld": row.deletes_withheld,
        "folders_unreadable": row.folders_unreadable,
        "last_checkpoint": row.checkpoint,
        "paused_at_checkpoint": row.paused_at_checkpoint,
        "can": {verb.value: verb in possible for verb in Verb},
        "links": _links(row.id),
        **{name: getattr(row, name) for name in _TIMES},
    }


def progress_of(c: Connection, row: AnyRow) -> dict[str, Any]:
    """Counts that only grow while a job runs; `total` is null until the listing is complete."""
    settled = row.done + row.unchanged + row.skipped + row.failed + row.known_failed
    rate, sure = _rate(c, row)
    eta = eta_seconds(row.total, settled, rate) if sure else None
    settled_id = versions.settled_up_to(c, row.collection_id, row.next_doc_id)
    return {
        "discovered": row.discovered,
        "total": row.total,
        "settled": settled,
        "done": row.done,
        "unchanged": row.unchanged,
        "skipped": row.skipped,
        "failed": row.failed,
        "known_failed": row.known_failed,
        "deleted": row.deleted,
        "chunks": row.chunks,
        "chunks_reused": row.chunks_reused,
        "bytes": row.bytes,
        "tokens": row.tokens,
        "rate_per_second": round(rate, 3),
        "crawl_last_id": None,  # only a crawl gives ids before it has the document
        "chunked_last_id": settled_id,
        "indexed_last_id": settled_id,  # a checkpoint takes a document's chunks and their vectors together
        "eta_seconds": None if eta is None else round(eta, 1),
    }


def checkpoint_view(row: AnyRow) -> dict[str, Any]:
    """One checkpoint."""
    names = ("generation", "batch", "kind", "job_id", "file", "sha256", "size_bytes", "documents", "vectors")
    return {name: getattr(row, name) for name in (*names, "seconds", "pinned", "at")}


def document_view(row: AnyRow) -> dict[str, Any]:
    """One document: whether it is in, and as what."""
    names = ("doc_id", "key", "state", "reason", "detail", "title", "version_id", "chunks", "bytes")
    shown = {name: getattr(row, name) for name in (*names, "generation", "updated_at")}
    return {**shown, "content_sha256": row.content_sha256 or None, "file_sha256": row.file_sha256 or None}


def item_view(row: AnyRow) -> dict[str, Any]:
    """One work item of a job."""
    path = f"{row.folder}/{row.name}" if row.folder else row.name
    names = ("id", "op", "state", "attempts", "tries", "not_before", "reason", "detail")
    return {"path": path, **{name: getattr(row, name) for name in names}}


def event_view(row: AnyRow) -> dict[str, Any]:
    """One event."""
    return {"type": row.type, "version": row.job_version, "at": row.at, "data": row.data}


def _rate(c: Connection, row: AnyRow) -> tuple[float, bool]:
    """(Items a second since this attempt began, whether enough checkpoints say so to tell when it will end)."""
    if row.state != State.RUNNING or row.leased_at is None:
        return 0.0, False
    recent = _recent(c, row)
    began, now = datetime.fromisoformat(row.leased_at), datetime.now(UTC)
    rate = rate_per_second(recent, began, now)
    if rate or not recent:
        return rate, len(recent) >= _SURE_POINTS
    # Inside a large document nothing is settled for a while: the attempt as a whole says more, if nothing of its end.
    settled = segments.settled_since(c, row.collection_id, row.id, row.leased_at)
    return settled / (now - began).total_seconds(), False


def _recent(c: Connection, row: AnyRow) -> list[tuple[datetime, int]]:
    """(When, how many items were settled then) of the last times in this attempt, newest first."""
    if row.service == "reindex":  # it makes its one checkpoint at the end
        told = events.newest(c, row.id, "prepared", row.leased_at, _RATE_POINTS)
        counted = [(event.at, event.data.get("counted", {})) for event in told]
        return [(datetime.fromisoformat(at), n.get("done", 0) + n.get("failed", 0)) for at, n in counted]
    points = segments.list_checkpoints(c, row.collection_id, job_id=row.id, limit=_RATE_POINTS)
    return [(datetime.fromisoformat(p.at), p.settled) for p in points if p.at >= row.leased_at]


def _links(job_id: str) -> dict[str, str]:
    verbs: Sequence[str] = ("pause", "resume", "cancel", "retry", "items", "events", "checkpoints")
    base = f"/v1/jobs/{job_id}"
    return {"self": base, **{verb: f"{base}/{verb}" for verb in verbs}}
