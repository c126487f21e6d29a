"""Which generations of a collection are whole, so that it can go back to them."""

from collections.abc import Collection
from itertools import groupby

from sqlalchemy import ColumnElement, Connection, Table, delete, exists, insert, select

from service.core.retention import Point
from service.errors import Conflict, NotFound
from service.ledger import collections
from service.ledger.database import AnyRow
from service.ledger.schema import checkpoints, retained, segment_spans, version_spans, versions
from service.ledger.schema import collections as collection_rows

EMPTY = 0  # the generation before the first commit, which needs nothing
_MOST_TOLD = 12


def require(c: Connection, collection: AnyRow, generation: int) -> None:
    """Raises NotFound where there is no such generation, Conflict (with those there are) where it is not kept."""
    if not EMPTY <= generation <= collection.generation:
        raise NotFound("generation", generation)
    if not is_kept(c, collection, generation):
        kept = told(below(c, collection.id), collection)
        raise Conflict(
            f"Generation {generation} of {collection.name!r} is not kept any more; kept are {kept}."
        )


def is_kept(c: Connection, collection: AnyRow, generation: int) -> bool:
    """Whether everything that a generation needs is still there."""
    return generation == EMPTY or generation >= collection.kept_from or generation in below(c, collection.id)


def below(c: Connection, collection_id: str) -> list[int]:
    """The generations below `kept_from` that are kept, ascending."""
    mine = retained.c.collection_id == collection_id
    return list(
        c.execute(select(retained.c.generation).where(mine).order_by(retained.c.generation)).scalars()
    )


def told(single: list[int], collection: AnyRow) -> str:
    """The kept generations for people: the newest of them, as ranges."""
    runs = [list(run) for _, run in groupby(enumerate(single), lambda pair: pair[1] - pair[0])]
    ranges = [_range(run[0][1], run[-1][1]) for run in runs]
    ranges.append(_range(max(collection.kept_from, 1), collection.generation))
    left_out = ["…"] if len(ranges) > _MOST_TOLD else []
    return ", ".join(left_out + ranges[-_MOST_TOLD:])


def _range(first: int, last: int) -> str:
    return str(first) if first == last else f"{first} to {last}"


def points(c: Connection, collection_id: str) -> list[Point]:
    """All checkpoints there ever were, in short, ascending."""
    columns = [checkpoints.c[name] for name in ("generation", "kind", "job_id", "at", "pinned")]
    mine = checkpoints.c.collection_id == collection_id
    return [Point(*row) for row in c.execute(select(*columns).where(mine).order_by(checkpoints.c.generation))]


def keep_only(c: Connection, collection: AnyRow, generations: Collection[int]) -> None:
    """Of the generations that are whole only these stay, and the newest."""
    newest: int = collection.generation
    whole = {*below(c, collection.id), *range(max(collection.kept_from, 1), newest)}
    kept = sorted(whole.intersection(generations))
    mine = retained.c.collection_id == collection.id
    c.execute(delete(retained).where(mine))
    if kept:
        c.execute(insert(retained), [{"collection_id": collection.id, "generation": g} for g in kept])
    collections.change(c, collection.id, kept_from=newest)


def give_up(c: Connection, collection: AnyRow, spans: Collection[tuple[int, int]]) -> int:
    """The generations that one of these spans (segment, first generation) is a part of are not whole; how many."""
    mine = segment_spans.c.collection_id == collection.id
    columns = [segment_spans.c[name] for name in ("segment_id", "from_generation", "to_generation")]
    broken = [
        range(row.from_generation, row.to_generation)
        for row in c.execute(select(*columns).where(mine, segment_spans.c.to_generation.is_not(None)))
        if (row.segment_id, row.from_generation) in set(spans)
    ]
    whole = {*below(c, collection.id), *range(max(collection.kept_from, 1), collection.generation)}
    lost = {generation for generation in whole if any(generation in run for run in broken)}
    if lost:
        keep_only(c, collection, whole - lost)
    return len(lost)


def drop_spans(c: Connection, collection_id: str) -> list[str]:
    """Forget what no kept generation needs; the live files of what is forgotten that nothing else names."""
    unneeded = [_unneeded(spans, collection_id) for spans in (version_spans, segment_spans)]
    lives = c.execute(select(segment_spans.c.live).where(unneeded[1])).scalars().all()
    for spans, which in zip((version_spans, segment_spans), unneeded, strict=True):
        c.execute(delete(spans).where(which))
    no_span = ~exists().where(
        version_spans.c.collection_id == versions.c.collection_id,
        version_spans.c.version_id == versions.c.version_id,
    )
    mine = (versions.c.collection_id == collection_id) & (versions.c.state != "unfinished")
    c.execute(delete(versions).where(mine, no_span))
    left = c.execute(select(segment_spans.c.live).where(segment_spans.c.collection_id == collection_id))
    named = {file["name"] for file in left.scalars() if file}
    return sorted({file["name"] for file in lives if file} - named)


def _unneeded(spans: Table, collection_id: str) -> ColumnElement[bool]:
    needed = exists().where(
        retained.c.collection_id == collection_id,
        retained.c.generation >= spans.c.from_generation,
        retained.c.generation < spans.c.to_generation,
    )
    over = (
        spans.c.to_generation
        <= select(collection_rows.c.kept_from).where(collection_rows.c.id == collection_id).scalar_subquery()
    )
    return (spans.c.collection_id == collection_id) & over & ~needed
