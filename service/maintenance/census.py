"""Which rows there should be, and which there are, as columns: there may be millions."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from service.index.records import Mask

Numbers = NDArray[np.int64]  # shape (n,)
Place = tuple[int, int]  # of a row: version, number of the chunk


def columns_of(places: Sequence[Place]) -> tuple[Numbers, Numbers]:
    """Versions and chunk numbers of rows."""
    pairs = np.array(places, np.int64).reshape(-1, 2)
    return pairs[:, 0], pairs[:, 1]


class Census:
    """How many rows every visible version should have and has, and whether they can be each of its chunks once."""

    def __init__(self, sizes: Iterable[tuple[int, int]]) -> None:
        """`sizes`: (version, chunks) in ascending order."""
        pairs = np.fromiter(sizes, np.dtype([("version", np.int64), ("chunks", np.int64)]))
        self.versions, self.expected = pairs["version"], pairs["chunks"]
        self.found = np.zeros(len(pairs), np.int64)
        self._sums = np.zeros((2, len(pairs)), np.int64)  # of the chunks' numbers, and of their squares

    def known(self, versions: Numbers) -> tuple[Numbers, Mask]:
        """Where these versions stand here, and whether they do."""
        places = np.searchsorted(self.versions, versions)
        known = places < len(self.versions)
        known[known] = self.versions[places[known]] == versions[known]
        return places, known

    def count(self, versions: Numbers, ordinals: Numbers) -> Numbers:
        """Count rows, by their versions and chunk numbers; returns those versions that are not visible."""
        places, known = self.known(versions)
        np.add.at(self.found, places[known], 1)
        for sums, values in zip(self._sums, (ordinals, ordinals * ordinals), strict=True):
            np.add.at(sums, places[known], values[known])
        return np.unique(versions[~known])

    def amiss(self) -> NDArray[np.intp]:
        """Places of the versions that have not each of their chunks once."""
        n = self.expected
        right = (n * (n - 1) // 2, n * (n - 1) * (2 * n - 1) // 6)
        return np.flatnonzero((self.found != n) | (self._sums[0] != right[0]) | (self._sums[1] != right[1]))


@dataclass(frozen=True, slots=True)
class Rows:
    """All rows of the live segments, one after the other; each column has shape (rows,)."""

    versions: Numbers
    ordinals: Numbers
    alive: Mask

    @classmethod
    def of(cls, parts: Sequence[tuple[Sequence[Place], Mask]]) -> "Rows":
        """From each segment's places, and which of its rows are alive."""
        versions, ordinals = columns_of([place for places, _ in parts for place in places])
        alive = np.concatenate([np.zeros(0, np.bool_), *(alive for _, alive in parts)])
        return cls(versions, ordinals, alive)

    def changed(self, census: Census, chosen: Mask) -> set[int]:
        """The visible versions of which other rows are chosen than are alive."""
        _, known = census.known(self.versions)
        return {int(version) for version in np.unique(self.versions[known & (chosen != self.alive)])}

    def chosen(self, census: Census) -> Mask:
        """One row for each chunk of each visible version, where there is any: the first that is alive, else the first."""
        places, known = census.known(self.versions)
        known[known] = self.ordinals[known] < census.expected[places[known]]
        candidates = np.flatnonzero(known)
        versions, ordinals = self.versions[candidates], self.ordinals[candidates]
        order = np.lexsort((candidates, ~self.alive[candidates], ordinals, versions))
        versions, ordinals = versions[order], ordinals[order]
        is_first = np.ones(len(order), np.bool_)
        is_first[1:] = (versions[1:] != versions[:-1]) | (ordinals[1:] != ordinals[:-1])
        chosen = np.zeros(len(self.alive), np.bool_)
        chosen[candidates[order[is_first]]] = True
        return chosen
