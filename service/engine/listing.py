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
from service.ledger.documents import KnownFile
from service.ports import Folder, Source

_FLUSH_ITEMS = 1000
_FLUSH_SECONDS = 0.5
_UNKNOWN: KnownFile = ("", "", "no stamp", "", "", 0)  # a stamp may be "": not to be trusted


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
        known = Known(self.ledger, self.terms.source_id, counts)
        unseen_folders = set(counts)
        self._walk(known, unseen_folders)
        for folder in unseen_folders:
            if not self._below_an_error(folder):
                names = [name for _, name, *_, since in known.files_in(folder) if since <= generation]
                self._gone += _vanished(folder, names)
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

    def _compare(self, folder: Folder, files: list[KnownFile]) -> None:
        self.discovered += len(folder.files)
        if not self.terms.fresh and folder.files == _sound(
            files
        ):  # the common case, much faster than one by one
            self.unchanged += len(files)
            gone: Iterable[str] = ()
        else:
            known = {file[1]: file for file in files}
            self._compare_one_by_one(folder, known)
            gone = known
        if folder.error:
            self._errors[folder.path] = folder.error
            self._refuse_an_unreadable_root(folder)
        else:
            self._gone += _vanished(folder.path, gone)

    def _compare_one_by_one(self, folder: Folder, known: dict[str, KnownFile]) -> None:
        """Takes out of `known` what is there."""
        for name, stamp in folder.files.items():
            _, _, old_stamp, state, recipe, _ = known.pop(name, _UNKNOWN)
            if old_stamp != stamp or self.terms.fresh or (state == "failed" and recipe != self.terms.recipe):
                self._found.append({"folder": folder.path, "name": name, "stamp": stamp})
            elif state == "failed":
                self.known_failed += 1
            else:
                self.unchanged += 1

    def _refuse_an_unreadable_root(self, folder: Folder) -> None:
        if folder.path == "":
            raise Refused(
                f"The source's root cannot be listed: {folder.error}. Check its path and permissions."
            )

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

    def _finish(self) -> None:
        self._flush(force=True)
        keys = (key_of(self.terms.root, gone["folder"], gone["name"]) for gone in self._gone)
        digest = digest_of(keys)
        count = len(self._gone)
        with self.ledger.write() as c:
            self.lease.hold(c)
            # Until this listing has ended nobody else adds to them or takes from them.
            owned = documents.count_of(c, self.terms.source_id) if count else 0
            allowed = may_delete(self.terms.deletes, count, owned, digest, self.terms.deletes_digest)
            if allowed:
                items.add(c, self.terms.job_id, "delete", self._gone)
            withheld = None if allowed or not count else {"count": count, "digest": digest}
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


def _sound(files: list[KnownFile]) -> dict[str, str] | None:
    """File name -> stamp; None when something failed last time, and the recipe decides."""
    stamps = {file[1]: file[2] for file in files if file[3] != "failed"}
    return stamps if len(stamps) == len(files) else None


def _vanished(folder: str, names: Iterable[str]) -> list[dict[str, str]]:
    return [{"folder": folder, "name": name, "stamp": ""} for name in names]
