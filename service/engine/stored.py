"""The vectors of a large version: where they are, not what they are."""

from array import array
from collections.abc import Iterator

from service.engine.state import CollectionState, Segment
from service.index.records import RowRecord
from service.ports import Float32Vector

_RUN = 64  # an edited document comes again in its old order, so what stands next is read along


class StoredVersion:
    """Read in runs, as its chunks come up again."""

    def __init__(self, state: CollectionState, parts: list[tuple[Segment, list[RowRecord]]]) -> None:
        """`parts`: the version's rows, segment by segment."""
        self._state = state
        self._segments = [segment for segment, _ in parts]
        self._hashes = [row.text_hash for _, rows in parts for row in rows]
        self._rows = array("q", (row.row for _, rows in parts for row in rows))
        self._ends = array("q")  # position behind the last row of each segment
        for _, rows in parts:
            self._ends.append((self._ends[-1] if self._ends else 0) + len(rows))
        self._places = {text_hash: place for place, text_hash in enumerate(self._hashes)}

    def __len__(self) -> int:
        return len(self._hashes)

    def run_from(self, text_hash: bytes) -> Iterator[tuple[bytes, Float32Vector]]:
        """(Text hash, vector) of the chunk with this text and of those behind it; nothing if there is none.

        Raises Corrupt.
        """
        first = self._places.get(text_hash)
        if first is None:
            return
        at = next(at for at, end in enumerate(self._ends) if first < end)
        places = range(first, min(first + _RUN, self._ends[at]))
        vectors = self._state.vectors_of(self._segments[at], [self._rows[place] for place in places])
        yield from ((self._hashes[place], vector) for place, vector in zip(places, vectors, strict=True))
