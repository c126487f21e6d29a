"""Which neighbouring segments to merge so that only a bounded number stays live."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

MAX_LIVE_SEGMENTS = 64
TARGET_ROWS = (
    65_536  # of a segment merged while a job waits: more would outlast the two seconds a pause may take
)
TARGET_BYTES = 512 << 20


@dataclass(frozen=True, slots=True)
class LiveSegment:
    """What the choice needs to know of one live segment."""

    first_batch: int
    last_batch: int
    rows: int
    live_rows: int  # what a merge keeps, and so what it costs
    bytes: int
    mergeable: bool = True  # False: not a flat file, or it holds rows that a coming commit makes live


def choose_run(segments: Sequence[LiveSegment], max_live: int = MAX_LIVE_SEGMENTS) -> range | None:
    """The positions of the neighbours to merge before one more segment is added; None while there is room.

    `segments` are in batch order. The run with the least rows per cubed number of segments saved wins: long
    runs win over cheap ones, since the places they free are what makes the next merges cheap (per single
    segment saved, merging 100-row batches up to a million rows costs seven times as much). None when there is
    no room means that any two mergeable neighbours together exceed the target.
    """
    if len(segments) < max_live:
        return None
    best = min(_runs(segments), default=None)
    return None if best is None else range(best[1], best[2])


def _runs(segments: Sequence[LiveSegment]) -> Iterator[tuple[float, int, int]]:
    """Every permitted run as (price, start, stop)."""
    for start in range(len(segments)):
        rows = size = 0
        for stop, segment in enumerate(segments[start:], start + 1):
            rows += segment.live_rows
            size += segment.bytes
            if not segment.mergeable or rows > TARGET_ROWS or size > TARGET_BYTES:
                break
            saved = stop - start - 1
            if saved:
                yield rows / saved**3, start, stop
