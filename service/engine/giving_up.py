"""Earlier generations of which a file is gone are not kept any more: nobody is promised a way back to them."""

import time
from collections.abc import Collection, Sequence

from sqlalchemy import Connection

from service.engine.lease import boot_id
from service.engine.recover import is_whole
from service.engine.state import CollectionState, stored
from service.ledger import collections, garbage, retained, segments
from service.ledger.database import AnyRow, Ledger


def broken_spans(ledger: Ledger, state: CollectionState, among: Collection[int]) -> Sequence[AnyRow]:
    """What is said of these segments' rows, from generation to generation, where a file for it is damaged or missing."""
    with ledger.read() as c:
        spans = [*segments.past(c, state.id), *segments.live(c, state.id)]
    whole: dict[str, bool] = {}
    return [span for span in spans if span.segment_id in among and not _is_whole(state, span, whole)]


def give_up(c: Connection, collection_id: str, spans: Sequence[AnyRow]) -> int:
    """The generations that need one of these, all ended by now, are not kept; how many those are.

    What only they needed goes the way of all garbage.
    """
    row = collections.by_id(c, collection_id)
    lost = retained.give_up(c, row, [(span.segment_id, span.from_generation) for span in spans])
    if lost:
        seen = boot_id(), time.monotonic()
        garbage.note(c, collection_id, retained.drop_spans(c, collection_id), seen)
        garbage.note_segments(c, collection_id, seen)
    return lost


def _is_whole(state: CollectionState, span: AnyRow, whole: dict[str, bool]) -> bool:
    """Codes do not count: they are derived."""
    for file in (span.faiss, span.chunks, span.live):
        if file and file["name"] not in whole:
            whole[file["name"]] = is_whole(state, stored(file))
    return all(whole[file["name"]] for file in (span.faiss, span.chunks, span.live) if file)
