"""Which generations of a collection are whole, so that it can go back to them."""

from itertools import groupby

from sqlalchemy import Connection, select

from service.errors import Conflict, NotFound
from service.ledger.database import AnyRow
from service.ledger.schema import retained

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
