"""Keep the number of live segments small: neighbours become one."""

import time

import numpy as np

from service.core.merging import LiveSegment, choose_run
from service.engine import record
from service.engine.commit import write_commit_record
from service.engine.lease import Lease
from service.engine.masks import holds_unfinished
from service.engine.owner import Owner
from service.engine.publish import publish
from service.engine.state import CollectionState, Segment
from service.engine.written import Written
from service.failpoints import reach
from service.index.merge import MergeInput, Target, merge_segments
from service.index.records import SegmentId
from service.ledger import segments, versions
from service.ledger.database import Ledger, utc_now


def merge_if_needed(
    ledger: Ledger, lease: Lease, state: CollectionState, owner: Owner, max_live: int
) -> bool:
    """Merge one run of neighbours when there are too many; whether it did. Raises LeaseLost, TryAgain, Corrupt."""
    with ledger.read() as c:
        unfinished = versions.unfinished(c, state.id)
    described = [
        LiveSegment(
            s.first_batch,
            s.last_batch,
            s.rows,
            s.live_rows,
            s.size_bytes,
            not holds_unfinished(s, unfinished),
        )
        for s in state.segments
    ]
    run = choose_run(described, max_live)
    if run is None:
        return False
    merge(ledger, lease, state, owner, state.segments[run.start : run.stop])
    return True


def merge(ledger: Ledger, lease: Lease, state: CollectionState, owner: Owner, inputs: list[Segment]) -> None:
    """Replace neighbouring segments by one with their live rows, in one commit of its own."""
    written = Written(state.generation + 1, state.batch, "merge", utc_now(), time.monotonic())
    reach("merge.before")
    reach("reserve.before")
    with lease.write() as c:
        segment_id = segments.reserve(c, state.id, lease.token)
    reach("reserve.after")
    written.closed += inputs
    merged = _write(state, SegmentId(segment_id, lease.token), inputs)
    if merged is not None:
        written.opened.append(merged)
    write_commit_record(state, lease.token, written, owner, {})
    reach("ledger.before")
    with lease.write() as c:
        record.checkpoint(c, state, written, owner, state.documents, settled=0)
    reach("ledger.after")
    written.adopt_into(state)
    publish(ledger, lease, state)
    reach("merge.after")


def _write(state: CollectionState, name: SegmentId, inputs: list[Segment]) -> Segment | None:
    """The merged segment's files; None when no row of the inputs is alive."""
    rows = sum(segment.live_rows for segment in inputs)
    if rows == 0:
        return None
    metric = "cosine" if state.space.normalised else "l2"
    files = merge_segments(
        state.folder,
        [MergeInput(segment.faiss, segment.chunks, state.alive(segment)) for segment in inputs],
        Target(name, state.id, metric, state.space.dimensions),
    )
    return Segment(
        segment_id=name.number,
        token=name.token,
        first_batch=inputs[0].first_batch,
        last_batch=max(segment.last_batch for segment in inputs),
        rows=rows,
        live_rows=rows,
        faiss=files.vectors,
        chunks=files.chunks,
        live=None,
        verified=True,
        alive=np.ones(rows, dtype=np.bool_),
    )
