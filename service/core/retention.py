"""Which generations stay whole, so that a collection can go back to them."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

MERGE, ROLLBACK = "merge", "rollback"


@dataclass(frozen=True, slots=True)
class Point:
    """One checkpoint, in short."""

    generation: int
    kind: str
    job: str | None
    at: str  # ISO 8601, UTC
    pinned: bool


@dataclass(frozen=True, slots=True)
class Terms:
    """What is asked for."""

    jobs: int  # the last so many
    since: str  # ISO 8601, UTC: and all that ended from then on
    newest: int  # and so many of the newest generations
    published: int  # what readers may be loading, and everything after it


@dataclass(slots=True)
class _Span:
    """The generations of a job, or of maintenance of one kind with nothing else in between."""

    job: str | None
    first: int
    last: int
    at: str


def retained(points: Sequence[Point], terms: Terms) -> set[int]:
    """The pinned ones, the newest, and those before and after each job and maintenance that counts.

    `points`: all checkpoints there ever were, ascending. Inside a job only its newest generations stay: what its
    merges have replaced would be as much as all that it wrote.
    """
    if not points:
        return {0}
    kept = {point.generation for point in points if point.pinned}
    for span in _that_count(_spans(points), terms):
        kept |= {span.first - 1, span.last}
    newest = points[-1].generation
    first = max(min(newest - terms.newest + 1, terms.published), 0)
    return {*kept, *range(first, newest + 1)}


def _spans(points: Iterable[Point]) -> list[_Span]:
    spans: list[_Span] = []
    of_jobs: dict[str, _Span] = {}
    before = ""
    for point in points:
        if point.kind == MERGE:
            continue
        name = point.job or point.kind
        goes_on = name == before and point.kind != ROLLBACK
        span = of_jobs.get(point.job or "") or (spans[-1] if goes_on else None)
        if span is None:
            span = _Span(point.job, point.generation, point.generation, point.at)
            spans.append(span)
        if point.job:
            of_jobs[point.job] = span
        span.last, span.at, before = point.generation, point.at, name
    return spans


def _that_count(spans: list[_Span], terms: Terms) -> Iterator[_Span]:
    by_end = sorted(spans, key=lambda span: span.last, reverse=True)
    yield from [span for span in by_end if span.job is not None][: terms.jobs]
    yield from (span for span in by_end if span.at >= terms.since)
