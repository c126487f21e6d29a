"""What the engine is told; `service/settings.py` reads it from files and the environment."""

from dataclasses import dataclass
from pathlib import Path

from service.core.merging import APPROXIMATE_ABOVE, MOST_ROWS
from service.core.pace import FULL_ROWS
from service.index.manifest import KEPT_CHECKPOINTS


@dataclass(frozen=True, slots=True)
class EngineSettings:
    """Plain values, checked before they come here."""

    data_dir: Path
    batch_size: int = 100
    deletes: str = "safe"  # of jobs that do not say
    commit_seconds: float = 30.0
    parse_workers: int = 1
    max_failures_ratio: float = 0.5  # of settled items, once there are 20
    max_retries: int = 3
    min_free_bytes: int = 256 << 20
    max_live_segments: int = 64
    approximate_above: int = (
        APPROXIMATE_ABOVE  # rows of a segment: from so many on codes propose what is compared
    )
    segment_rows: int = FULL_ROWS  # that are committed at once, also in the middle of a document
    retain_jobs: int = 10  # before and after each of which a collection can go back to
    retain_checkpoints: int = KEPT_CHECKPOINTS  # and the newest: those that the manifest lists
    retain_days: float = 7.0  # before the newest checkpoint, the same
    scrub_bytes_per_second: int = 8 << 20  # that are read again in the background, to find rot
    gc_grace_seconds: float = 900.0  # that a file stays after nothing needs it any more
    merged_rows: int = MOST_ROWS  # of a segment merged outside the lease, at most
    max_chunk_tokens: int = 256
    overlap_tokens: int = 32

    def folder(self, collection: str) -> Path:
        """Where a collection's files are."""
        return self.data_dir / "collections" / collection
