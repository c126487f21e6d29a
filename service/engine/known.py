"""What the ledger knows of the files in a folder, and which of them a listing has not met."""

from array import array
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from service.ledger import documents
from service.ledger.database import Ledger
from service.ports import Folder

_FILES_AHEAD = 1_000  # so many rows at most, unless one folder has more
_FOLDERS_AHEAD = 50
_LARGE_FILES = 5_000  # of a folder with more known files than this only a part is in memory at a time
_NAMES_AT_ONCE = 5_000


def distinct(parts: Iterable[Folder]) -> Iterator[Folder]:
    """A folder's parts, each name once: a file system may list one twice while the folder changes."""
    seen: set[int] = set()
    before: Mapping[str, str] = {}
    for part in parts:
        seen.update(map(hash, before))
        before = part.files
        if seen and not seen.isdisjoint(map(hash, part.files)):
            files = {name: stamp for name, stamp in part.files.items() if hash(name) not in seen}
            part = replace(part, files=files)
        yield part


class SmallFolder:
    """Its known files are all in memory."""

    def __init__(self, stamps: Mapping[str, str]) -> None:
        self._stamps, self._unmet = stamps, set(stamps)
        self.has_failed = "" in stamps.values()  # known files that failed

    def meet(self, files: Mapping[str, str]) -> Mapping[str, str]:
        """Of these files, name -> stamp, those that are not known with just this stamp; none of them has vanished."""
        self._unmet.difference_update(files)
        if files == self._stamps:  # the common case, much faster than file by file
            return {}
        return {name: stamp for name, stamp in files.items() if self._stamps.get(name) != stamp}

    def vanished(self) -> Iterator[str]:
        """The known files that have not been met."""
        yield from self._unmet


class LargeFolder:
    """Of each of its known files two numbers are in memory: the hash of its name, and that of its stamp.

    Different names, or stamps, with one hash are less likely than a fault of the memory. They would have a file read
    again, or a vanished or changed one stay as it is until the next listing, for which the hashes are others.
    """

    def __init__(self, known: Iterable[tuple[str, str, str]], all_names: Callable[[], Iterator[str]]) -> None:
        """`known`: (folder, file name, stamp) each; `all_names` lists the names again."""
        names, stamps = array("q"), array("q")
        for _, name, stamp in known:
            names.append(hash(name))
            stamps.append(hash(stamp))
        by_name = np.argsort(names)
        self._names, self._stamps = np.array(names)[by_name], np.array(stamps)[by_name]
        self._met = np.zeros(len(names), dtype=np.bool_)
        self._all_names = all_names
        self.has_failed = bool((self._stamps == hash("")).any())

    def meet(self, files: Mapping[str, str]) -> Mapping[str, str]:
        """See `SmallFolder`."""
        places, known = self._places(files)
        self._met[places[known]] = True
        stamps = np.fromiter(map(hash, files.values()), np.int64, len(files))
        same = known & (self._stamps[places] == stamps)
        if same.all():
            return {}
        return {
            name: stamp for (name, stamp), is_same in zip(files.items(), same, strict=True) if not is_same
        }

    def vanished(self) -> Iterator[str]:
        """See `SmallFolder`."""
        if self._met.all():
            return
        names = self._all_names()
        while some := list(islice(names, _NAMES_AT_ONCE)):
            places, known = self._places(some)
            yield from (some[at] for at in np.flatnonzero(known & ~self._met[places]))

    def _places(self, names: Collection[str]) -> tuple[NDArray[np.intp], NDArray[np.bool_]]:
        """(Where the names' hashes are, whether they are there at all)."""
        hashes = np.fromiter(map(hash, names), np.int64, len(names))
        places = np.minimum(np.searchsorted(self._names, hashes), len(self._names) - 1)
        return places, self._names[places] == hashes


class Known:
    """Small folders share a query: one for each would take longer than listing them."""

    def __init__(self, ledger: Ledger, source_id: int, counts: Mapping[str, int], generation: int) -> None:
        """`counts`: folder -> known files in it at `generation`, now; a folder that is not there has none."""
        self._ledger, self._source_id, self._counts = ledger, source_id, counts
        self._generation = generation
        self._read: dict[str, dict[str, str]] = {}

    def folder(self, path: str, waiting: Sequence[str] = ()) -> SmallFolder | LargeFolder:
        """As of before now; `waiting`: the folders asked for next, the first of them last."""
        if self._counts.get(path, 0) > _LARGE_FILES:
            with self._ledger.read() as c:
                known = documents.files_in(c, self._source_id, [path])
                return LargeFolder(known, lambda: self.names_in(path))
        if path not in self._read and path in self._counts:
            self._read_together([path, *self._next(path, waiting)])
        return SmallFolder(self._read.pop(path, {}))

    def names_in(self, path: str) -> Iterator[str]:
        """Every file in a folder; what came after the generation is not among them, and cannot have vanished."""
        last = ""
        while names := self._names_after(path, last):
            yield from names
            last = names[-1]

    def _names_after(self, path: str, last: str) -> list[str]:
        with self._ledger.read() as c:
            return documents.names_in(c, self._source_id, path, self._generation, last, _NAMES_AT_ONCE)

    def _read_together(self, paths: Sequence[str]) -> None:
        self._read |= {path: {} for path in paths}
        with self._ledger.read() as c:
            for folder, name, stamp in documents.files_in(c, self._source_id, paths):
                self._read[folder][name] = stamp

    def _next(self, path: str, waiting: Sequence[str]) -> list[str]:
        chosen: list[str] = []
        room = _FILES_AHEAD - self._counts[path]
        for name in reversed(waiting[-_FOLDERS_AHEAD:]):
            room -= self._counts.get(name, 0)
            if room < 0:
                break
            if name in self._counts and name not in self._read:
                chosen.append(name)
        return chosen
