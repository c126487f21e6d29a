"""A folder tree as a source."""

import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from service.core.names import name_on_disk, storable_name
from service.core.stamp import stamp_of
from service.errors import Refused
from service.ports import Folder
from service.sources.wanted import Wanted

EVERYTHING = Wanted((), ())
_PULSE_EVERY = 500  # directory entries between two looks at the caller's wishes
_PART_FILES = 5_000  # of a folder, in memory at once


class Library:
    """A folder tree below one root; links to files are followed, links to folders are not (they may loop)."""

    def __init__(
        self, root: Path, wanted: Wanted = EVERYTHING, never: Path | None = None, within: Sequence[Path] = ()
    ) -> None:
        """`never` is a folder that is passed over wherever it stands: the service's own data.

        Where folders `within` are named, a link to a file in none of them is passed over too.
        """
        self._root, self._wanted, self._never = root, wanted, never
        self._within = [os.path.realpath(folder) for folder in within]

    def scan(self, folder: str, pulse: Callable[[], None]) -> Iterator[Folder]:
        """List one folder; what cannot be listed says so in `error`. Raises Refused when there is no root."""
        if not folder and not self._root.is_dir():
            raise Refused(f"{self._root} is not a folder that can be read: check the path and its mount.")
        files: dict[str, str] = {}
        subfolders: list[str] = []
        error = ""
        try:
            with os.scandir(self._root / name_on_disk(folder)) as entries:
                for seen, entry in enumerate(entries):
                    if seen % _PULSE_EVERY == 0:
                        pulse()
                        if len(files) >= _PART_FILES:
                            yield Folder(folder, files)
                            files = {}
                    error = self._sort_in(entry, folder, files, subfolders) or error
        except OSError as problem:
            error = problem.strerror or str(problem)
        yield Folder(folder, files, sorted(subfolders), error)

    def locate(self, folder: str, name: str) -> Path:
        """The path of a listed file."""
        return self._root / name_on_disk(folder) / name_on_disk(name)

    def _sort_in(
        self, entry: os.DirEntry[str], path: str, files: dict[str, str], subfolders: list[str]
    ) -> str:
        """Returns why the entry could not be looked at, "" if it could."""
        # What is said of every file costs as much as the walk itself; these two calls are seldom needed.
        name = entry.name if entry.name.isascii() else storable_name(entry.name)
        if entry.is_dir(follow_symlinks=False):
            if self._wanted.folder(path, name) and not self._is_never(entry):
                subfolders.append(name)
        elif self._wanted.file(path, name):
            try:
                if self._within and self._leads_out(entry):
                    return ""
                if entry.is_file():
                    files[name] = stamp_of(entry.stat())
            except FileNotFoundError:
                pass  # it went between the listing and the look: not listed
            except OSError as error:
                if not entry.is_symlink():  # a link that leads nowhere, or round in a circle, is no document
                    return error.strerror or str(error)
        return ""

    def _is_never(self, entry: os.DirEntry[str]) -> bool:
        never = self._never
        return never is not None and entry.name == never.name and os.path.samefile(entry.path, never)

    def _leads_out(self, entry: os.DirEntry[str]) -> bool:
        if not entry.is_symlink():
            return False
        target = os.path.realpath(entry.path)
        return all(os.path.commonpath([target, folder]) != folder for folder in self._within)
