"""Every metric: its name, its kind, its meaning; filled from the ledger at the moment of the scrape."""

from collections.abc import Iterator
from typing import NamedTuple

from prometheus_client import CollectorRegistry, Metric
from prometheus_client.registry import Collector

from service.engine.observe import Measurements, Sample
from service.web.services import Services


class Family(NamedTuple):
    """A metric as Prometheus shows it."""

    name: str
    type: str
    help: str


FAMILIES = (
    Family("ingest_checkpoint_total", "counter", "Checkpoints committed."),
    Family("ingest_last_checkpoint_timestamp_seconds", "gauge", "When the last checkpoint was committed."),
    Family("ingest_last_checkpoint_ts", "gauge", "The same as ingest_last_checkpoint_timestamp_seconds."),
    Family("ingest_rate_items_per_second", "gauge", "Documents settled a second; 0 when idle."),
    Family("ingest_checkpoint_sequence", "gauge", "Generation of a collection's last checkpoint."),
    Family("ingest_checkpoint_duration_seconds", "histogram", "How long a checkpoint took."),
    Family("ingest_checkpoint_size_bytes", "gauge", "Bytes of a collection's last checkpoint."),
    Family("ingest_checkpoint_failures_total", "counter", "Checkpoints that could not be made."),
    Family("ingest_restores_total", "counter", "Jobs taken up again, by what was found."),
    Family("ingest_items_processed_total", "counter", "Documents settled, by result."),
    Family("ingest_item_failures_total", "counter", "Documents that failed, by stage."),
    Family("ingest_items_pending", "gauge", "Documents found and not settled."),
    Family(
        "ingest_items_quarantined", "gauge", "Documents that failed and are not tried again by themselves."
    ),
    Family("ingest_stage_duration_seconds", "histogram", "How long a stage took."),
    Family("ingest_chunks_total", "counter", "Chunks committed."),
    Family("ingest_embedded_tokens_total", "counter", "Tokens embedded."),
    Family("ingest_embedder_restarts_total", "counter", "Embedder children that had to be replaced."),
    Family("ingest_scrubbed_segments_total", "counter", "Segments read again in the background, by outcome."),
    Family("ingest_maintenance_total", "counter", "Maintenance tasks ended, by kind and outcome."),
    Family("ingest_verify_problems", "gauge", "Problems that the last verification of a collection found."),
    Family("ingest_verify_timestamp_seconds", "gauge", "When a collection was last verified."),
    Family("ingest_job_state", "gauge", "1 for the state of a service's job, 0 for the other states."),
    Family("ingest_job_last_success_timestamp_seconds", "gauge", "When a job last succeeded."),
    Family("ingest_pause_latency_seconds", "histogram", "From the wish to pause until paused."),
    Family("ingest_worker_heartbeat_timestamp_seconds", "gauge", "A worker's last sign of life."),
    Family("ingest_publish_lag_generations", "gauge", "Generations committed but not published."),
    Family("ingest_index_vectors", "gauge", "Live vectors of a collection."),
    Family("ingest_index_documents", "gauge", "Live documents of a collection."),
    Family("ingest_index_tombstones", "gauge", "Rows of live segments that are not alive."),
    Family("ingest_index_size_bytes", "gauge", "Bytes of a collection's live files."),
    Family("ingest_disk_free_bytes", "gauge", "Free bytes where the data is."),
    Family("ingest_build_info", "gauge", "1, labelled with what is running."),
)
_SUFFIXES = {"counter": ("",), "gauge": ("",), "histogram": ("_bucket", "_count", "_sum")}
_FAMILY_OF = {family.name + suffix: family for family in FAMILIES for suffix in _SUFFIXES[family.type]}
# Counters that are there from the beginning, so that their first increase is seen as one.
_FROM_ZERO = (
    Sample("ingest_checkpoint_total", 0, {"service": "library"}),
    Sample("ingest_rate_items_per_second", 0, {"service": "library"}),
    Sample("ingest_chunks_total", 0),
    Sample("ingest_embedded_tokens_total", 0),
)


class LedgerCollector(Collector):
    """Asks the ledger at every scrape, so a restart loses nothing. Thread-safe."""

    def __init__(self, services: Services) -> None:
        self._measurements = Measurements(services.jobs.ledger, services.jobs.settings)
        self._build = Sample("ingest_build_info", 1, {"version": services.version, **services.build})

    def collect(self) -> Iterator[Metric]:
        """Every family that has a sample now. Raises TryAgain."""
        measured = [*self._measurements.samples(), self._build]
        known = {_identity(sample) for sample in measured}
        missing = [sample for sample in _FROM_ZERO if _identity(sample) not in known]
        metrics = {
            family: Metric(family.name.removesuffix("_total"), family.help, family.type)
            for family in FAMILIES
        }
        for sample in (*measured, *missing):
            metrics[_FAMILY_OF[sample.name]].add_sample(sample.name, dict(sample.labels), sample.value)
        yield from (metric for metric in metrics.values() if metric.samples)


def make_registry(services: Services) -> CollectorRegistry:
    """A registry of its own: nothing of the process, nothing global."""
    registry = CollectorRegistry()
    registry.register(LedgerCollector(services))
    return registry


def _identity(sample: Sample) -> tuple[str, frozenset[tuple[str, str]]]:
    return sample.name, frozenset(sample.labels.items())
