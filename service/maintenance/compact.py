"""Take in a large merge that was made outside the lease, if its inputs are still what they were."""

import time
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

import numpy as np

from service.engine import record
from service.engine.commit import write_commit_record
from service.engine.masks import holds_unfinished
from service.engine.owner import MAINTENANCE
from service.engine.publish import publish
from service.engine.state import CollectionState, Segment, stored
from service.engine.written import Written
from service.errors import Corrupt
from service.failpoints import reach
from service.index import scratch
from service.index.files import StoredFile, sync_folder
from service.index.live import read_live, write_live
from service.index.merge import alive_after
from service.index.records import Mask, SegmentId, live_name
from service.index.scratch import ScratchId
from service.ledger import segments, versions
from service.ledger.database import utc_now
from service.maintenance.work import Result, Work


@dataclass(frozen=True, slots=True)
class Made:
    """What a merger has left in the scratch folder."""

    scratch: ScratchId
    inputs: tuple[int, ...]  # segment ids, in the order of their rows
    read: tuple[str, ...]  # the hashes of the chunk files that were read
    rows: int
    faiss: StoredFile
    chunks: StoredFile
    kept: StoredFile
    codes: StoredFile | None

    @classmethod
    def of(cls, options: Any) -> "Made":
        """From a task's options."""
        files = {kind: stored(options["made"][kind]) for kind in ("faiss", "chunks", "kept")}
        codes = options["made"].get("codes")
        return cls(
            ScratchId(options["scratch"]),
            tuple(options["inputs"]),
            tuple(options["read"]),
            options["made"]["rows"],
            **files,
            codes=stored(codes) if codes else None,
        )


class _Outdated(Exception):
    """The merge is of no use any more."""


def run(work: Work) -> Result:
    """Replace the inputs by the merged segment, or throw it away and say why."""
    made, state = Made.of(work.options), work.holding.state
    try:
        inputs = _current(state, made.inputs)
        if tuple(segment.chunks.sha256 for segment in inputs) != made.read:
            raise _Outdated("an input has been rewritten")
        alive = _alive_now(state, made, inputs)
        generation = _take_in(work, made, inputs, alive)
    except _Outdated as error:
        scratch.discard(state.folder, made.scratch)
        return {"taken": False, "why": str(error)}
    return {"taken": True, "generation": generation, "rows": made.rows, "segments": len(inputs)}


def _current(state: CollectionState, wanted: tuple[int, ...]) -> list[Segment]:
    """The inputs as they are now; side by side, or their batches would get mixed up with others'."""
    places = [at for at, segment in enumerate(state.segments) if segment.segment_id in set(wanted)]
    inputs = [state.segments[at] for at in places]
    if tuple(segment.segment_id for segment in inputs) != wanted:
        raise _Outdated("an input is not live any more")
    if places != list(range(places[0], places[-1] + 1)):
        raise _Outdated("another segment has come between the inputs")
    return inputs


def _alive_now(state: CollectionState, made: Made, inputs: list[Segment]) -> Mask:
    """Which rows of the merged segment are alive, shape (rows,)."""
    try:
        kept = read_live(state.folder, made.kept)
    except Corrupt as error:
        raise _Outdated(str(error)) from error
    ends = list(accumulate(segment.rows for segment in inputs))
    then = np.split(kept, ends[:-1])
    now = [state.alive(segment) for segment in inputs]
    if any((alive & ~was).any() for was, alive in zip(then, now, strict=True)):
        raise _Outdated("rows that were dead are alive again")
    return alive_after(then, now)


def _take_in(work: Work, made: Made, inputs: list[Segment], alive: Mask) -> int:
    holding = work.holding
    state, ledger, lease = holding.state, holding.ledger, holding.lease
    with ledger.read() as c:
        unfinished = versions.unfinished(c, state.id)
    if any(holds_unfinished(segment, unfinished) for segment in inputs):
        raise _Outdated("a document in an input is not finished")
    written = Written(state.generation + 1, state.batch, "merge", utc_now(), time.monotonic())
    written.closed += inputs
    reach("reserve.before")
    with lease.write() as c:
        number = segments.reserve(c, state.id, lease.token)
    reach("reserve.after")
    if alive.any():
        written.opened.append(_placed(state, made, SegmentId(number, lease.token), inputs, alive))
    write_commit_record(state, lease.token, written, MAINTENANCE, {})
    reach("ledger.before")
    with lease.write() as c:
        record.checkpoint(c, state, written, MAINTENANCE, state.documents, settled=0)
        result = {"generation": written.generation, "rows": made.rows, "segments": len(inputs)}
        work.done({"taken": True, **result})(c)
    reach("ledger.after")
    written.adopt_into(state)
    publish(ledger, lease, state)
    scratch.discard(state.folder, made.scratch)
    return state.generation


def _placed(
    state: CollectionState, made: Made, name: SegmentId, inputs: list[Segment], alive: Mask
) -> Segment:
    """The merged files under their own names, and which of their rows are alive."""
    for source, target in ((made.faiss, name.vectors), (made.chunks, name.chunks), (made.codes, name.codes)):
        if source is None:
            continue
        try:
            scratch.move_into_place(state.folder, source.name, target)
        except FileNotFoundError as error:  # an earlier attempt has moved it, and start-up has removed it
            raise _Outdated("its files are gone") from error
    live = None
    if not alive.all():
        live = write_live(state.folder, live_name(name.number, state.generation + 1, name.token), alive)
    sync_folder(state.folder / scratch.FOLDER)
    sync_folder(state.folder / "segments")
    return Segment(
        segment_id=name.number,
        token=name.token,
        first_batch=inputs[0].first_batch,
        last_batch=max(segment.last_batch for segment in inputs),
        rows=made.rows,
        live_rows=int(alive.sum()),
        faiss=StoredFile(name.vectors, made.faiss.sha256, made.faiss.bytes),
        chunks=StoredFile(name.chunks, made.chunks.sha256, made.chunks.bytes),
        live=live,
        verified=False,  # by a child, while it wrote: hashed anew before a row of it is used
        alive=alive,
        codes=made.codes and StoredFile(name.codes, made.codes.sha256, made.codes.bytes),
    )
