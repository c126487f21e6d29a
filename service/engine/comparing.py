"""Compare a source with the ledger, folder by folder: which files are new or changed, which are gone."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from service.engine.known import Known, LargeFolder, SmallFolder, distinct
from service.errors import Refused
from service.ledger import collections, documents
from service.ledger.database import Ledger
from service.ports import Folder, Source

NO_SOURCE = 0  # the ledger knows none yet


@dataclass(frozen=True, slots=True)
class Scope:
    """What is compared, and how."""

    source_id: int
    folder: str  # all that is listed: this one and those below it
    recipe: str
    fresh: bool


class Heard(Protocol):
    """Who is told, file by file."""

    def found(self, folder: str, name: str, stamp: str) -> None:
        """A file that is new, changed, or to be done again."""

    def gone(self, folder: str, name: str) -> None:
        """A known file that is not there any more."""

    def between(self) -> None:
        """Nothing is under way just now."""


@dataclass
class Comparison:
    """One walk over a source. Files that have not changed are a number; memory is bounded by the largest folder's names."""

    ledger: Ledger
    source: Source
    scope: Scope
    pulse: Callable[[], None]
    heard: Heard
    discovered: int = 0
    unchanged: int = 0
    known_failed: int = 0
    errors: dict[str, str] = field(default_factory=dict)  # folders that were not listed to the end, and why
    _withdrawn: set[str] = field(default_factory=set)  # folders of files that somebody has taken out

    @property
    def unreadable(self) -> dict[str, object] | None:
        """The folders that were not listed to the end: how many, and the first of them with their reasons."""
        if not self.errors:
            return None
        return {"count": len(self.errors), "folders": dict(list(self.errors.items())[:20])}

    def run(self) -> None:
        """Walk. Raises what `pulse` raises, and Refused where the folder itself cannot be listed."""
        counts: Mapping[str, int] = {}
        generation = 0
        if self.scope.source_id != NO_SOURCE:
            with self.ledger.read() as c:
                # Before the walk: what is committed during it must not look as if it had vanished.
                counts = documents.folders_of(c, self.scope.source_id)
                self._withdrawn = documents.folders_with_withdrawn(c, self.scope.source_id)
                generation = collections.of_source(c, self.scope.source_id).generation
        known = Known(self.ledger, self.scope.source_id, counts, generation)
        unseen_folders = {folder for folder in counts if is_within(folder, self.scope.folder)}
        self._walk(known, unseen_folders)
        for folder in unseen_folders:
            if not self._below_an_error(folder):
                self._vanish(folder, known.names_in(folder))

    def _walk(self, known: Known, unseen_folders: set[str]) -> None:
        waiting = [self.scope.folder]
        while waiting:
            self.pulse()
            path = waiting.pop()
            unseen_folders.discard(path)
            # Known names first, for the same reason as above.
            before = known.folder(path, waiting)
            for part in distinct(self.source.scan(path, self.pulse)):
                self._compare(part, before)
                waiting += [f"{path}/{name}" if path else name for name in reversed(part.subfolders)]
                self.heard.between()
            if path not in self.errors:
                self._vanish(path, before.vanished())

    def _compare(self, part: Folder, before: SmallFolder | LargeFolder) -> None:
        self.discovered += len(part.files)
        if part.error:
            self.errors[part.path] = part.error
            self._refuse_an_unreadable_root(part)
        others = before.meet(part.files)
        if self.scope.fresh:
            others = part.files
        if part.path in self._withdrawn:
            others = self._without_withdrawn(part.path, others)
        self.unchanged += len(part.files) - len(others)
        failed = self._failed(part.path, list(others)) if before.has_failed and not self.scope.fresh else {}
        for name, stamp in others.items():
            if failed.get(name) == (stamp, self.scope.recipe):
                self.known_failed += 1
            else:
                self.heard.found(part.path, name, stamp)

    def _without_withdrawn(self, folder: str, files: Mapping[str, str]) -> Mapping[str, str]:
        """What somebody has taken out counts as unchanged, whatever its file is now."""
        with self.ledger.read() as c:
            withdrawn = documents.withdrawn_in(c, self.scope.source_id, folder, list(files))
        return {name: stamp for name, stamp in files.items() if name not in withdrawn}

    def _refuse_an_unreadable_root(self, folder: Folder) -> None:
        if folder.path == self.scope.folder:
            where = folder.path or "the source's root"
            raise Refused(f"{where} cannot be listed: {folder.error}. Check its path and permissions.")

    def _failed(self, folder: str, names: Sequence[str]) -> dict[str, tuple[str, str]]:
        with self.ledger.read() as c:
            return documents.failed_in(c, self.scope.source_id, folder, names)

    def _vanish(self, folder: str, names: Iterable[str]) -> None:
        for name in names:
            self.heard.gone(folder, name)
            self.heard.between()

    def _below_an_error(self, folder: str) -> bool:
        return any(is_within(folder, bad) for bad in self.errors)


def is_within(folder: str, outer: str) -> bool:
    """Whether a folder is the other one, or below it."""
    return not outer or folder == outer or folder.startswith(f"{outer}/")
