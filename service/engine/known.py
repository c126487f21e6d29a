"""What the ledger knows of the files in a folder, read some folders ahead of a walk."""

from collections.abc import Mapping, Sequence

from service.ledger import documents
from service.ledger.database import Ledger

_FILES_AHEAD = 1_000  # so many rows at most, unless one folder has more
_FOLDERS_AHEAD = 50


class Known:
    """Small folders share a query: one for each would take longer than listing them."""

    def __init__(self, ledger: Ledger, source_id: int, counts: Mapping[str, int]) -> None:
        """`counts`: folder -> known files in it; a folder that is not there has none."""
        self._ledger, self._source_id, self._counts = ledger, source_id, counts
        self._read: dict[str, dict[str, str]] = {}

    def files_in(self, folder: str, waiting: Sequence[str] = ()) -> dict[str, str]:
        """File name -> stamp, as of before now; `waiting`: the folders asked for next, the first of them last."""
        if folder not in self._read and folder in self._counts:
            with self._ledger.read() as c:
                self._read |= documents.files_in(c, self._source_id, [folder, *self._next(folder, waiting)])
        return self._read.pop(folder, {})

    def _next(self, folder: str, waiting: Sequence[str]) -> list[str]:
        chosen: list[str] = []
        room = _FILES_AHEAD - self._counts[folder]
        for name in reversed(waiting[-_FOLDERS_AHEAD:]):
            room -= self._counts.get(name, 0)
            if room < 0:
                break
            if name in self._counts and name not in self._read:
                chosen.append(name)
        return chosen
