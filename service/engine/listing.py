"""Compare a source with the ledger: what to add, update, leave and remove."""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection

from service.core.guard import Deletions, may_delete
from service.core.keys import file_key
from service.engine.known import Known, LargeFolder, SmallFolder, distinct
from service.engine.lease import Lease
from service.errors import Refused
from service.ledger import collections, documents, items, jobs
from service.ledger.database import Ledger
from service.ports import Folder, Source

_FLUSH_ITEMS = 1000
_FLUSH_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class Terms:
    """How a job compares."""

    job_id: str
    source_id: int
    root: str
    folder: str  # all that is listed: this one and those below it
    recipe: str
    fresh: bool
    deletes: str
    deletes_digest: str


@dataclass
class Listing:
    """One walk over a source. Files that have not changed are a number, not a row."""

    ledger: Ledger
    lease: Lease
    source: Source
    terms: Terms
    pulse: Callable[[], None]
    discovered: int = 0
    unchanged: int = 0
    known_failed: int = 0
    _deletions: Deletions = field(default_factory=Deletions)
    _found: list[dict[str, str]] = field(default_factory=list)
    _gone: list[dict[str, str]] = field(default_factory=list)
    _errors: dict[str, str] = field(default_factory=dict)  # folders that were not listed to the end, and why
    _flushed_at: float = 0.0
    _withdrawn: set[str] = field(default_factory=set)  # folders of files that somebody has taken out

    def run(self) -> None:
        """List everything; the job's items and total are in the ledger afterwards. Raises what `pulse` raises."""
        with self.ledger.write() as c:
            self.lease.hold(c)
            items.drop_pending(c, self.terms.job_id)
            jobs.note(c, self.terms.job_id, stage="list", total=None)
            # Before the walk: what is committed during it must not look as if it had vanished.
            counts = documents.folders_of(c, self.terms.source_id)
            self._withdrawn = documents.folders_with_withdrawn(c, self.terms.source_id)
            generation = collections.of_source(c, self.terms.source_id).generation
        known = Known(self.ledger, self.terms.source_id, counts, generation)
        unseen_folders = {folder for folder in counts if _is_within(folder, self.terms.folder)}
        self._walk(known, unseen_folders)
        for folder in unseen_folders:
            if not self._below_an_error(folder):
                self._vanish(folder, known.names_in(folder))
        self._finish()

    def _walk(self, known: Known, unseen_folders: set[str]) -> None:
        waiting = [self.terms.folder]
        while waiting:
            self.pulse()
            path = waiting.pop()
            unseen_folders.discard(path)
            # Known names first, for the same reason as above.
            before = known.folder(path, waiting)
            for part in distinct(self.source.scan(path, self.pulse)):
                self._compare(part, before)
                waiting += [f"{path}/{name}" if path else name for name in reversed(part.subfolders)]
                self._flush(force=False)
            if path not in self._errors:
                self._vanish(path, before.vanished())

    def _compare(self, part: Folder, before: SmallFolder | LargeFolder) -> None:
        self.discovered += len(part.files)
        if part.error:
            self._errors[part.path] = part.error
            self._refuse_an_unreadable_root(part)
        others = before.meet(part.files)
        if self.terms.fresh:
            others = part.files
        if part.path in self._withdrawn:
            others = self._without_withdrawn(part.path, others)
        self.unchanged += len(part.files) - len(others)
        failed = self._failed(part.path, list(others)) if before.has_failed and not self.terms.fresh else {}
        for name, stamp in others.items():
            if failed.get(name) == (stamp, self.terms.recipe):
                self.known_failed += 1
            else:
                self._found.append({"folder": part.path, "name": name, "stamp": stamp})

    def _without_withdrawn(self, folder: str, files: Mapping[str, str]) -> Mapping[str, str]:
        """What somebody has taken out counts as unchanged, whatever its file is now."""
        with self.ledger.read() as c:
            withdrawn = documents.withdrawn_in(c, self.terms.source_id, folder, list(files))
        return {name: stamp for name, stamp in files.items() if name not in withdrawn}

    def _refuse_an_unreadable_root(self, folder: Folder) -> None:
        if folder.path == self.terms.folder:
            where = folder.path or "the source's root"
            raise Refused(f"{where} cannot be listed: {folder.error}. Check its path and permissions.")

    def _failed(self, folder: str, names: Sequence[str]) -> dict[str, tuple[str, str]]:
        with self.ledger.read() as c:
            return documents.failed_in(c, self.terms.source_id, folder, names)

    def _vanish(self, folder: str, names: Iterable[str]) -> None:
        for name in names:
            self._gone.append({"folder": folder, "name": name, "stamp": ""})
            self._flush(force=False)

    def _below_an_error(self, folder: str) -> bool:
        return any(_is_within(folder, bad) for bad in self._errors)

    def _flush(self, force: bool) -> None:
        now = time.monotonic()
        full = len(self._found) + len(self._gone) >= _FLUSH_ITEMS
        if not force and not full and now - self._flushed_at < _FLUSH_SECONDS:
            return
        self._flushed_at = now
        with self.ledger.write() as c:
            self.lease.hold(c)
            items.add(c, self.terms.job_id, "upsert", self._found)
            self._weigh(c)
            # Nothing acts on these before the listing has ended, and the guard has let them pass.
            items.add(c, self.terms.job_id, "delete", self._gone)
            row = jobs.get(c, self.terms.job_id)
            jobs.note(c, row.id, discovered=max(row.discovered, self.discovered), unchanged=self.unchanged,
                      known_failed=self.known_failed)  # fmt: skip
        self._found, self._gone = [], []

    def _weigh(self, c: Connection) -> None:
        """Documents that would go: a file of records is as many as it has records."""
        keys = [file_key(self.terms.root, gone["folder"], gone["name"]) for gone in self._gone]
        if keys:
            collection_id = collections.of_source(c, self.terms.source_id).id
            self._deletions.documents += documents.count_of_files(c, collection_id, keys)
        for key in keys:
            self._deletions.add(key)

    def _finish(self) -> None:
        self._flush(force=True)
        with self.ledger.write() as c:
            self.lease.hold(c)
            withheld = self._withheld(c)
            if withheld:
                items.drop_pending(c, self.terms.job_id, "delete")
            unreadable = None
            if self._errors:
                unreadable = {"count": len(self._errors), "folders": dict(list(self._errors.items())[:20])}
            # The total comes last: it says that the listing is complete.
            jobs.note(
                c,
                self.terms.job_id,
                total=self.discovered,
                deletes_withheld=withheld,
                folders_unreadable=unreadable,
            )

    def _withheld(self, c: Connection) -> dict[str, Any] | None:
        gone, terms = self._deletions, self.terms
        if not items.open_count(c, terms.job_id, "delete"):
            return None
        # Until now nobody else has added to them or taken away.
        owned = documents.count_of(c, terms.source_id, terms.folder)
        if may_delete(terms.deletes, gone, owned, terms.deletes_digest):
            return None
        return {"count": gone.documents, "digest": gone.digest}


def _is_within(folder: str, outer: str) -> bool:
    return not outer or folder == outer or folder.startswith(f"{outer}/")
