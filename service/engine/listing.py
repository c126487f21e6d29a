"""Compare a source with the ledger: what to add, update, leave and remove."""

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from service.core.guard import digest_of, may_delete
from service.engine.known import Known
from service.engine.lease import Lease
from service.engine.open_item import key_of
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
    _found: list[dict[str, str]] = field(default_factory=list)
    _gone: list[dict[str, str]] = field(default_factory=list)
    _errors: dict[str, str] = field(default_factory=dict)  # folders that were not listed to the end, and why
    _flushed_at: float = 0.0

    def run(self) -> None:
        """List everything; the job's items and total are in the ledger afterwards. Raises what `pulse` raises."""
        with self.ledger.write() as c:
            self.lease.hold(c)
            items.drop_pending(c, self.terms.job_id)
            jobs.note(c, self.terms.job_id, stage="list", total=None)
            # Before the walk: what is committed during it must not look as if it had vanished.
            counts = documents.folders_of(c, self.terms.source_id)
            generation = collections.of_source(c, self.terms.source_id).generation
        unseen_folders = set(counts)
        self._walk(Known(self.ledger, self.terms.source_id, counts), unseen_folders)
        for folder in unseen_folders:
            if not self._below_an_error(folder):
                self._gone += _vanished(folder, self._known_names(folder, generation))
        self._finish()

    def _walk(self, known: Known, unseen_folders: set[str]) -> None:
        waiting = [""]
        while waiting:
            self.pulse()
            path = waiting.pop()
            # Known names first, for the same reason as above.
            files = known.files_in(path, waiting)
            folder = self.source.scan(path, self.pulse)
            unseen_folders.discard(path)
            waiting += [f"{path}/{name}" if path else name for name in reversed(folder.subfolders)]
            self._compare(folder, files)
            self._flush(force=False)

    def _compare(self, folder: Folder, known: dict[str, str]) -> None:
        self.discovered += len(folder.files)
        if folder.error:
            self._errors[folder.path] = folder.error
            self._refuse_an_unreadable_root(folder)
        if folder.files == known and not self.terms.fresh:  # the common case, much faster than file by file
            self.unchanged += len(known)
            return
        self._compare_files(folder, known)
        if not folder.error:
            self._gone += _vanished(folder.path, [name for name in known if name not in folder.files])

    def _compare_files(self, folder: Folder, known: dict[str, str]) -> None:
        failed = self._failed(folder.path) if "" in known.values() else {}
        for name, stamp in folder.files.items():
            if known.get(name) == stamp and not self.terms.fresh:
                self.unchanged += 1
            elif failed.get(name) == (stamp, self.terms.recipe) and not self.terms.fresh:
                self.known_failed += 1
            else:
                self._found.append({"folder": folder.path, "name": name, "stamp": stamp})

    def _refuse_an_unreadable_root(self, folder: Folder) -> None:
        if folder.path == "":
            raise Refused(
                f"The source's root cannot be listed: {folder.error}. Check its path and permissions."
            )

    def _failed(self, folder: str) -> dict[str, tuple[str, str]]:
        with self.ledger.read() as c:
            return documents.failed_in(c, self.terms.source_id, folder)

    def _known_names(self, folder: str, generation: int) -> list[str]:
        with self.ledger.read() as c:
            return documents.names_in(c, self.terms.source_id, folder, generation)

    def _below_an_error(self, folder: str) -> bool:
        return any(folder == bad or folder.startswith(bad + "/") for bad in self._errors)

    def _flush(self, force: bool) -> None:
        now = time.monotonic()
        if not force and len(self._found) < _FLUSH_ITEMS and now - self._flushed_at < _FLUSH_SECONDS:
            return
        self._flushed_at = now
        with self.ledger.write() as c:
            self.lease.hold(c)
            items.add(c, self.terms.job_id, "upsert", self._found)
            row = jobs.get(c, self.terms.job_id)
            jobs.note(c, row.id, discovered=max(row.discovered, self.discovered), unchanged=self.unchanged,
                      known_failed=self.known_failed)  # fmt: skip
        self._found = []

    def _weighed(self) -> tuple[int, int]:
        """Documents that would go, and all that the source owns: a file of records is as many as it has records."""
        if not self._gone:
            return 0, 0
        names: dict[str, set[str]] = {}
        for gone in self._gone:
            names.setdefault(gone["folder"], set()).add(gone["name"])
        source_id = self.terms.source_id
        with (
            self.ledger.read() as c
        ):  # until this listing has ended nobody else adds to them or takes from them
            count = sum(documents.count_of_files(c, source_id, folder, names[folder]) for folder in names)
            return count, documents.count_of(c, source_id)

    def _finish(self) -> None:
        self._flush(force=True)
        keys = (key_of(self.terms.root, gone["folder"], gone["name"]) for gone in self._gone)
        digest = digest_of(keys)
        count, owned = self._weighed()
        with self.ledger.write() as c:
            self.lease.hold(c)
            allowed = may_delete(self.terms.deletes, count, owned, digest, self.terms.deletes_digest)
            if allowed:
                items.add(c, self.terms.job_id, "delete", self._gone)
            withheld = None if allowed or not self._gone else {"count": count, "digest": digest}
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


def _vanished(folder: str, names: Iterable[str]) -> list[dict[str, str]]:
    return [{"folder": folder, "name": name, "stamp": ""} for name in names]
