"""Record in the ledger what a job's walk over its source finds: what to add and update, and what to remove."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from sqlalchemy import Connection

from service.core.guard import Deletions
from service.core.stamp import size_in
from service.engine.comparing import Comparison, Scope
from service.engine.guarding import note_listed
from service.engine.lease import Lease
from service.engine.weighing import had_something, weigh
from service.ledger import collections, items, jobs
from service.ledger.database import Ledger
from service.ledger.items import DELETE, EMPTIED, UPSERT
from service.ports import Source

_FLUSH_ITEMS = 1000
_FLUSH_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class Terms:
    """For which job, and what of its source."""

    job_id: str
    root: str
    scope: Scope


@dataclass
class Listing:
    """One walk. Files that have not changed are a number, not a row."""

    ledger: Ledger
    lease: Lease
    source: Source
    terms: Terms
    pulse: Callable[[], None]
    _deletions: Deletions = field(default_factory=Deletions)
    _found: list[dict[str, str]] = field(default_factory=list)
    _gone: list[dict[str, str]] = field(default_factory=list)
    _emptied: list[dict[str, str]] = field(default_factory=list)
    _flushed_at: float = 0.0

    def __post_init__(self) -> None:
        self._walk = Comparison(self.ledger, self.source, self.terms.scope, self.pulse, self)

    def run(self) -> None:
        """List everything; the job's items and total are in the ledger afterwards. Raises what `pulse` raises."""
        with self.lease.write() as c:
            items.drop_pending(c, self.terms.job_id)
            jobs.note(c, self.terms.job_id, stage="list", total=None)
        self._walk.run()
        self._finish()

    def found(self, folder: str, name: str, stamp: str) -> None:
        """See `Heard`."""
        kind = self._found if size_in(stamp) else self._emptied
        kind.append({"folder": folder, "name": name, "stamp": stamp})

    def gone(self, folder: str, name: str) -> None:
        """See `Heard`."""
        self._gone.append({"folder": folder, "name": name, "stamp": ""})

    def between(self) -> None:
        """See `Heard`."""
        self._flush(force=False)

    def _flush(self, force: bool) -> None:
        now = time.monotonic()
        full = len(self._found) + len(self._gone) + len(self._emptied) >= _FLUSH_ITEMS
        if not force and not full and now - self._flushed_at < _FLUSH_SECONDS:
            return
        self._flushed_at = now
        with self.lease.write() as c:
            self._sort_out(c)
            items.add(c, self.terms.job_id, UPSERT, self._found)
            self._weigh(c)
            # Nothing acts on these before the listing has ended, and the guard has let them pass.
            items.add(c, self.terms.job_id, DELETE, self._gone)
            items.add(c, self.terms.job_id, EMPTIED, self._emptied)
            row = jobs.get(c, self.terms.job_id)
            jobs.note(c, row.id, discovered=max(row.discovered, self._walk.discovered), unchanged=self._walk.unchanged,
                      known_failed=self._walk.known_failed)  # fmt: skip
        self._found, self._gone, self._emptied = [], [], []

    def _sort_out(self, c: Connection) -> None:
        """An empty file that was empty before, or is new, takes nothing away."""
        if self._emptied:
            collection_id = collections.of_source(c, self.terms.scope.source_id).id
            names = [(file["folder"], file["name"]) for file in self._emptied]
            had = had_something(c, collection_id, self.terms.root, names)
            self._found += [f for f in self._emptied if (f["folder"], f["name"]) not in had]
            self._emptied = [f for f in self._emptied if (f["folder"], f["name"]) in had]

    def _weigh(self, c: Connection) -> None:
        """Documents that would go: a file of records is as many as it has records."""
        if self._gone or self._emptied:
            collection_id = collections.of_source(c, self.terms.scope.source_id).id
            lost = [(file["folder"], file["name"]) for file in (*self._gone, *self._emptied)]
            weigh(c, collection_id, self.terms.root, lost, self._deletions)

    def _finish(self) -> None:
        self._flush(force=True)
        with self.lease.write() as c:
            job = jobs.get(c, self.terms.job_id)
            # The total comes last: it says that the listing is complete.
            changes = {"unchanged": self._walk.unchanged, **note_listed(c, job, self._deletions)}
            jobs.note(
                c, job.id, total=self._walk.discovered, folders_unreadable=self._walk.unreadable, **changes
            )
