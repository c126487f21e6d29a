"""How many rows every live version has, and how many it should have."""

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray


class Census:
    """How many rows every live version should have and has, as columns: there may be a million versions."""

    def __init__(self, sizes: Iterable[tuple[int, int]]) -> None:
        """`sizes`: (version, chunks) in ascending order."""
        pairs = np.fromiter(sizes, np.dtype([("version", np.int64), ("chunks", np.int64)]))
        self.versions, self.expected = pairs["version"], pairs["chunks"]
        self.found = np.zeros(len(pairs), np.int64)

    def count(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """Count rows by their versions; returns those versions that are not live."""
        places = np.searchsorted(self.versions, rows)
        known = places < len(self.versions)
        known[known] = self.versions[places[known]] == rows[known]
        np.add.at(self.found, places[known], 1)
        return np.unique(rows[~known])

    def amiss(self) -> NDArray[np.intp]:
        """Places of the versions that have not as many rows as they should."""
        return np.flatnonzero(self.found != self.expected)
