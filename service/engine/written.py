"""The files of one commit: durable, but not part of the collection until the ledger says so."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from service.engine.state import CollectionState, Segment, as_json
from service.index.commit_record import Parent
from service.index.files import StoredFile
from service.index.records import Mask


@dataclass(frozen=True, slots=True)
class Change:
    """Other rows of an older segment are alive from now on; no live file: all of them."""

    segment: Segment
    alive: Mask
    live: StoredFile | None

    @property
    def live_rows(self) -> int:
        return int(self.alive.sum())


@dataclass(frozen=True, slots=True)
class Replaced:
    """Damaged segments, which the state has given up already, and those that hold what of them is rescued."""

    damaged: Sequence[Segment] = ()
    by: Sequence[Segment] = ()


NOTHING_REPLACED = Replaced()


@dataclass
class Written:
    """What a commit opens, changes, closes and opens again, and the record that says so."""

    generation: int
    batch: int
    kind: str  # ingest, merge, repair, reindex, rollback, withdraw, restore, purge
    at: str  # ISO 8601, UTC
    started: float  # monotonic
    opened: list[Segment] = field(default_factory=list)
    changed: list[Change] = field(default_factory=list)
    closed: list[Segment] = field(default_factory=list)
    reopened: list[Segment] = field(default_factory=list)  # as they were, or with other rows than just closed
    redacted: list[Segment] = field(default_factory=list)  # of those: with other files than they had
    record: StoredFile = field(default_factory=lambda: StoredFile("", "", 0))
    record_bytes: bytes = b""

    @property
    def size_bytes(self) -> int:
        """Bytes of all files that this commit wrote."""
        lives = [change.live for change in self.changed] + [segment.live for segment in self.opened]
        return (
            sum(segment.size_bytes for segment in self.opened)
            + sum(live.bytes for live in lives if live is not None)
            + len(self.record_bytes)
        )

    def seconds(self) -> float:
        """How long the commit has taken up to now."""
        return time.monotonic() - self.started

    def live_segments(self, before: Sequence[Segment]) -> list[Segment]:
        """The live segments once this commit counts, oldest batch first."""
        closed = {segment.segment_id for segment in self.closed}
        kept = [segment for segment in before if segment.segment_id not in closed]
        return sorted([*kept, *self.opened, *self.reopened], key=lambda segment: segment.first_batch)

    def vectors(self, before: Sequence[Segment]) -> int:
        """How many rows are alive once this commit counts."""
        changed = {change.segment.segment_id: change.live_rows for change in self.changed}
        return sum(changed.get(s.segment_id, s.live_rows) for s in self.live_segments(before))

    def adopt_into(self, state: CollectionState) -> None:
        """The ledger has committed: what the lease's holder remembers follows."""
        for change in self.changed:
            change.segment.alive, change.segment.live = change.alive, change.live
            change.segment.live_rows = change.live_rows
        for segment in self.closed:
            state.forget(segment)
        state.segments = self.live_segments(state.segments)
        state.generation, state.batch = self.generation, self.batch
        state.parent = Parent(self.generation, self.record.name, self.record.sha256)

    def as_record(self) -> dict[str, Any]:
        """What the commit record says of segments, in plain JSON."""
        return {
            "segments_opened": [segment_json(segment) for segment in (*self.opened, *self.redacted)],
            "live_files": [
                {"segment": change.segment.segment_id, "live": as_json(change.live), "rows": change.live_rows}
                for change in self.changed
            ],
            "segments_closed": [{"segment": segment.segment_id} for segment in self.closed],
        }


def segment_json(segment: Segment) -> dict[str, Any]:
    """A segment as commit records describe it."""
    return {
        "segment": segment.segment_id,
        "first_batch": segment.first_batch,
        "last_batch": segment.last_batch,
        "rows": segment.rows,
        "live_rows": segment.live_rows,
        "faiss": as_json(segment.faiss),
        "chunks": as_json(segment.chunks),
        "live": as_json(segment.live),
        "codes": as_json(segment.codes),
    }
