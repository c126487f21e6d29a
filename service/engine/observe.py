"""What can be measured of the ledger and the disk, at the moment somebody asks."""

import shutil
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import Connection
from sqlalchemy.exc import SQLAlchemyError

from service.core.job import State
from service.engine import views
from service.engine.room import lack_of_room
from service.engine.settings import EngineSettings
from service.engine.waiting import working
from service.errors import TryAgain
from service.ledger import collections, gauges, jobs, metrics, segments, workers
from service.ledger.database import AnyRow, Ledger

# One job stands for its service: the first of these that there is, else the newest of those that are finished.
_LIVELIEST = (
    State.RUNNING,
    State.PAUSING,
    State.CANCELLING,
    State.QUEUED,
    State.INTERRUPTED,
    State.PAUSED,
)


@dataclass(frozen=True, slots=True)
class Sample:
    """One measured value, in Prometheus's terms."""

    name: str
    value: float
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass
class Measurements:
    """Every figure of the service; a document is counted again only when its collection has moved."""

    ledger: Ledger
    settings: EngineSettings
    _quarantined: dict[str, tuple[int, int]] = field(default_factory=dict)  # id -> generation, documents

    def samples(self) -> list[Sample]:
        """All samples, from one state of the ledger. Raises TryAgain when it does not answer."""
        with _answering(self.ledger) as c:
            return [
                *_stored(metrics.everything(c)),
                *_of_services(c),
                *self._of_collections(c),
                *_of_workers(c),
                Sample("ingest_items_pending", gauges.pending_items(c)),
                *_of_disk(self.settings),
            ]

    def _of_collections(self, c: Connection) -> Iterator[Sample]:
        rows = collections.listing(c)
        lag = max((row.generation - row.published_generation for row in rows), default=0)
        yield Sample("ingest_publish_lag_generations", lag)
        yield Sample("ingest_items_quarantined", sum(self._count_quarantined(c, row) for row in rows))
        for row in rows:
            yield from _of_collection(c, row)

    def _count_quarantined(self, c: Connection, row: AnyRow) -> int:
        generation, count = self._quarantined.get(row.id, (-1, 0))
        if generation != row.generation:
            count = gauges.quarantined_documents(c, row.id)
            self._quarantined[row.id] = (row.generation, count)
        return count


def readiness(
    ledger: Ledger, settings: EngineSettings, model_problem: str, enabled: bool = True
) -> dict[str, Any]:
    """Whether disk, model and worker allow ingestion. Raises TryAgain when the ledger does not answer."""
    with _answering(ledger) as c:
        worker = _worker_problem(c)
    if worker and not enabled:
        worker = "ingestion is disabled: set ingestion.enabled = true"
    problems = {"disk": _disk_problem(settings, ledger), "model": model_problem, "worker": worker}
    return {
        "status": "ready",
        "able_to_ingest": {name: {"ok": not text, "problem": text} for name, text in problems.items()},
    }


@contextmanager
def _answering(ledger: Ledger) -> Iterator[Connection]:
    """A look at the ledger; whatever keeps it from answering, such as missing tables, is TryAgain."""
    try:
        with ledger.read() as c:
            yield c
    except SQLAlchemyError as error:
        raise TryAgain("ledger_unavailable", type(error).__name__) from error


def _disk_problem(settings: EngineSettings, ledger: Ledger) -> str:
    try:
        return lack_of_room(settings, ledger)
    except OSError as error:
        return (
            f"{settings.data_dir} cannot be looked at ({error.strerror}): mount it again, or correct data_dir"
        )


def _of_disk(settings: EngineSettings) -> Iterator[Sample]:
    with suppress(OSError):  # a folder that is gone has no figure; /readyz says so
        yield Sample("ingest_disk_free_bytes", shutil.disk_usage(settings.data_dir).free)


def _worker_problem(c: Connection) -> str:
    """Why nothing is being worked on."""
    if working(c):
        return ""
    return "no worker has given a sign of life of late" if workers.alive(c) else "no worker is running"


def _stored(rows: Sequence[AnyRow]) -> Iterator[Sample]:
    """What commits have counted; every histogram whole and with all its buckets."""
    histograms: dict[tuple[str, str], dict[str, float]] = defaultdict(dict)  # name, labels -> part, value
    for row in rows:
        labels = metrics.labels_of(row.labels)
        name, _, part = row.name.rpartition("_")
        if part in ("bucket", "count", "sum"):
            histograms[name, _without_bound(row.labels)][labels.get("le", part)] = row.value
        else:
            yield Sample(row.name, row.value, labels)
    for (name, text), parts in histograms.items():
        yield from _histogram(name, metrics.labels_of(text), parts)


def _histogram(name: str, labels: Mapping[str, str], parts: Mapping[str, float]) -> Iterator[Sample]:
    for bound in map(str, metrics.BUCKETS_SECONDS):
        yield Sample(f"{name}_bucket", parts.get(bound, 0.0), {**labels, "le": bound})
    yield Sample(f"{name}_bucket", parts["count"], {**labels, "le": "+Inf"})
    yield Sample(f"{name}_count", parts["count"], labels)
    yield Sample(f"{name}_sum", parts["sum"], labels)


def _without_bound(text: str) -> str:
    """The labels of a histogram, from those of one of its buckets."""
    return ",".join(part for part in text.split(",") if not part.startswith("le="))


def _of_services(c: Connection) -> Iterator[Sample]:
    newest: dict[str, dict[str, int]] = defaultdict(dict)
    for row in gauges.newest_jobs(c):
        newest[row.service][row.state] = row.number
    rates = dict.fromkeys(newest, 0.0)
    for job in jobs.held(c):
        rates[job.service] += views.progress_of(c, job)["rate_per_second"]
    for service, numbers in newest.items():
        yield Sample("ingest_rate_items_per_second", rates[service], {"service": service})
        shown = _standing_for(numbers)
        for state in State:
            labels = {"service": service, "state": state.value}
            yield Sample("ingest_job_state", float(state == shown), labels)
    for service, at in gauges.last_checkpoints(c).items():
        yield Sample("ingest_last_checkpoint_timestamp_seconds", _seconds(at), {"service": service})
        yield Sample("ingest_last_checkpoint_ts", _seconds(at), {"service": service})
    for service, at in gauges.last_successes(c).items():
        yield Sample("ingest_job_last_success_timestamp_seconds", _seconds(at), {"service": service})


def _standing_for(numbers: Mapping[str, int]) -> str:
    lively = [state for state in _LIVELIEST if state in numbers]
    return lively[0] if lively else max(numbers, key=lambda state: numbers[state])


def _of_collection(c: Connection, row: AnyRow) -> Iterator[Sample]:
    labels = {"collection": row.name}
    live = segments.live(c, row.id)
    size = sum(file["bytes"] for s in live for file in (s.faiss, s.chunks, s.live) if file)
    yield Sample("ingest_index_vectors", row.vectors, labels)
    yield Sample("ingest_index_documents", row.documents, labels)
    yield Sample("ingest_index_tombstones", sum(s.rows for s in live) - row.vectors, labels)
    yield Sample("ingest_index_size_bytes", size, labels)
    newest = segments.newest_checkpoint(c, row.id)
    if newest is not None:
        yield Sample("ingest_checkpoint_sequence", newest.generation, labels)
        yield Sample("ingest_checkpoint_size_bytes", newest.size_bytes, labels)


def _of_workers(c: Connection) -> Iterator[Sample]:
    beat = gauges.newest_beat(c)
    if beat is not None:
        yield Sample("ingest_worker_heartbeat_timestamp_seconds", _seconds(beat))


def _seconds(at: str) -> float:
    return datetime.fromisoformat(at).timestamp()
