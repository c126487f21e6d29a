"""Which neighbouring segments to merge so that only a bounded number stays live."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

MAX_LIVE_SEGMENTS = 64
TARGET_ROWS = (
    65_536  # of a segment merged while a job waits: more would outlast the two seconds a pause may take
)
TARGET_BYTES = 512 << 20
MOST_ROWS = 131_072  # of a segment merged outside the lease
APPROXIMATE_ABOVE = 50_000  # rows; below, scanning a segment's vectors themselves is fast enough
LARGE_SHARE = 0.75  # of that: such a segment is left alone
WORTH_SHARE = 0.03  # of that: in a smaller one dead rows are no reason
DEAD_SHARE = 0.25


@dataclass(frozen=True, slots=True)
class LiveSegment:
    """What the choice needs to know of one live segment."""

    first_batch: int
    last_batch: int
    rows: int
    live_rows: int  # what a merge keeps, and so what it costs
    bytes: int
    mergeable: bool = True  # False: not a flat file, or it holds rows that a coming commit makes live
    lacks_codes: bool = False  # an approximate index would pay, and there is none


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


def choose_large(segments: Sequence[LiveSegment], most_rows: int = MOST_ROWS) -> range | None:
    """The positions of the neighbours to merge outside the lease; None while nothing is worth it.

    `segments` are in batch order. A run is worth it when it makes a large segment, so that a row is rewritten so once in
    its life; a segment alone when many of its rows are dead, or when it lacks its approximate index and will not grow.
    """
    for start, alone in enumerate(segments):
        stop = _grow(segments, start, most_rows)
        rows = sum(segment.live_rows for segment in segments[start:stop])
        if stop - start > 1 and rows >= LARGE_SHARE * most_rows:
            return range(start, stop)
        stays = stop == start + 1 and (stop < len(segments) or _is_large(alone, most_rows))
        if alone.mergeable and (_is_mostly_dead(alone, most_rows) or (alone.lacks_codes and stays)):
            return range(start, start + 1)
    return None


def _grow(segments: Sequence[LiveSegment], start: int, most_rows: int) -> int:
    """Where the run that begins at `start` has to stop; `start + 1`: it stays alone."""
    rows, stop = 0, start
    while stop < len(segments) and segments[stop].mergeable and not _is_large(segments[stop], most_rows):
        rows += segments[stop].live_rows
        if rows > most_rows:
            break
        stop += 1
    return max(stop, start + 1)


def _is_large(segment: LiveSegment, most_rows: int) -> bool:
    return segment.live_rows >= LARGE_SHARE * most_rows


def _is_mostly_dead(segment: LiveSegment, most_rows: int) -> bool:
    dead = segment.rows - segment.live_rows
    return segment.rows >= WORTH_SHARE * most_rows and dead >= DEAD_SHARE * segment.rows
