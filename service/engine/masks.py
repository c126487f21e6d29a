"""Which rows of older segments die or come alive with a commit."""

from collections.abc import Sequence

from service.engine.draft import Batch, Draft
from service.engine.state import CollectionState, Segment
from service.index.records import Mask
from service.ledger.database import AnyRow


def new_masks(state: CollectionState, batch: Batch, retired: Sequence[AnyRow]) -> list[tuple[Segment, Mask]]:
    """The older segments whose rows change, with the rows that are alive afterwards. Raises Corrupt.

    `retired`: the version rows of `batch.retired`. Rows of a finished document that earlier commits brought
    in come alive now.
    """
    masks = {number: mask.copy() for number, mask in batch.corrected.items()}
    for version in retired:
        _mark(state, masks, version.version_id, (version.first_batch, version.last_batch), alive=False)
    for draft in batch.finished:
        earlier = _earlier(draft)
        if earlier is not None and draft.version_id is not None:
            _mark(state, masks, draft.version_id, earlier, alive=True)
    return [(s, masks[s.segment_id]) for s in state.segments if s.segment_id in masks]


def holds_unfinished(segment: Segment, unfinished: Sequence[AnyRow]) -> bool:
    """Whether rows of a version that may yet be finished can be in the segment (so it must stay as it is)."""
    return any(
        version.first_batch <= segment.last_batch and segment.first_batch <= version.last_batch
        for version in unfinished
    )


def _mark(
    state: CollectionState, masks: dict[int, Mask], version_id: int, batches: tuple[int, int], alive: bool
) -> None:
    for segment in state.covering(*batches):
        rows = [row.row for row in state.chunk_file(segment).rows_of_version(version_id)]
        if rows:
            masks.setdefault(segment.segment_id, state.alive(segment).copy())[rows] = alive


def _earlier(draft: Draft) -> tuple[int, int] | None:
    if draft.first_batch is None or draft.last_batch is None:
        return None
    return draft.first_batch, draft.last_batch
