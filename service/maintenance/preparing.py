"""Embed every visible version in another space, from its stored text, into segments that no reader sees yet."""

import time
from collections import deque
from concurrent.futures import wait
from dataclasses import dataclass, field
from threading import Event
from typing import Any

from sqlalchemy import Connection

from service.core.halving import halves
from service.core.pace import segment_is_full, too_many_failures
from service.engine.holding import Holding
from service.engine.ingest import MOST_WAITING, GaveUp, Interruptible
from service.engine.lease import Lease
from service.engine.reuse import Reuse
from service.engine.room import require_room
from service.engine.state import as_json
from service.engine.tools import Tools
from service.errors import DocumentFailed, TooLong
from service.failpoints import reach
from service.index.records import ChunkRecord, SegmentId, text_hash
from service.index.segment import write_segment
from service.ledger import collections, jobs, metrics, preparations, segments
from service.ledger.database import AnyRow, utc_now
from service.maintenance.kept import KeptVersion
from service.maintenance.remake import Load, Part, Remake, pieces, ranges, whole_chunks

_PAGE = 500
_TICK_SECONDS = 0.1
_LAST_RESULTS_SECONDS = 1.0


@dataclass
class Preparing(Interruptible):
    """The work of one tenure; whatever a save has written is not done again."""

    tools: Tools
    holding: Holding
    job: AnyRow
    stop: Event
    lease: Lease = field(init=False)
    waiting: deque[Part] = field(default_factory=deque)  # submitted, in order
    embedded: list[Part] = field(default_factory=list)
    settled: list[Remake] = field(default_factory=list)  # done without a row
    last_save: float = field(default_factory=time.monotonic)

    def __post_init__(self) -> None:
        self.lease, self.state = self.holding.lease, self.holding.state
        self.space = self.tools.embedder.space
        self.reuse = Reuse(self.tools.embedder.submit)

    def work(self) -> None:
        """Prepare until nothing visible is missing. Raises Interrupted, GaveUp, LeaseLost, TryAgain, Corrupt."""
        with self.lease.write() as c:
            done, failed = preparations.count_done(c, self.state.id, self.job.id)
            total = self.state.documents
            jobs.note(c, self.job.id, stage="embed", total=total, discovered=total, done=done, failed=failed)
        while self._pass():
            pass

    def save_what_is_embedded(self) -> None:
        """After Interrupted: keep what has its vectors; the rest is embedded again."""
        self.drop_what_is_queued()
        running = [part.future for part in self.waiting if not part.future.cancelled()]
        wait(running, timeout=_LAST_RESULTS_SECONDS)
        while self.waiting and self.waiting[0].future.done() and not self.waiting[0].future.cancelled():
            self._collect()
        self.drop_what_is_queued()
        self.waiting.clear()
        self._save()

    def drop_what_is_queued(self) -> None:
        """Take back from the embedder what it has not begun."""
        for part in self.waiting:
            part.future.cancel()

    def _pass(self) -> bool:
        """Prepare what is missing, once; whether there was anything."""
        after = -1
        while rows := self._missing(after):
            for row in rows:
                self._take(Remake.of(row, KeptVersion(self.state, row)))
            after = rows[-1].version_id
        while self.waiting:
            self._await_first()
        self._save()
        return after >= 0

    def _missing(self, after: int) -> list[AnyRow]:
        self.check()
        with self.tools.ledger.read() as c:
            return list(preparations.missing(c, self.state.id, self.job.id, after, _PAGE))

    def _take(self, remake: Remake) -> None:
        if remake.done:
            self.settled.append(remake)
        for chunk, text in remake.kept.chunks(remake.position):
            while len(self.waiting) >= MOST_WAITING:
                self._await_first()
            if remake.dropped:
                return
            self.waiting.append(self._part(remake, chunk, text, last=True))
            self._save_if_due()
        self.check()

    def _part(self, remake: Remake, chunk: ChunkRecord, text: str, last: bool) -> Part:
        return Part(remake, chunk, text, last, *self.reuse.vector(text_hash(text), text))

    def _await_first(self) -> None:
        self.check()
        if wait([self.waiting[0].future], timeout=_TICK_SECONDS).done:
            self._collect()
            self._save_if_due()

    def _collect(self) -> None:
        """Take in the first that waits, which is done."""
        part = self.waiting.popleft()
        if part.remake.dropped:
            return
        error = part.future.exception()
        if error is None:
            self.embedded.append(part)
        elif isinstance(error, TooLong) and (cuts := halves(part.text)) is not None:
            self._halve(part, cuts)
        elif isinstance(error, DocumentFailed):
            part.remake.failed = error
            self._drop(part.remake)
        else:
            raise error

    def _halve(self, part: Part, cuts: tuple[tuple[int, int], ...]) -> None:
        remake = part.remake
        if remake.position and not remake.recut:
            remake.recut = remake.again = True  # rows of it are written as the version that it was
            self._drop(remake)
            return
        remake.recut = True
        first, second = (self._part(remake, *piece, last=False) for piece in pieces(part, cuts))
        second.last = part.last
        self.waiting.extendleft((second, first))

    def _drop(self, remake: Remake) -> None:
        self.embedded = [part for part in self.embedded if part.remake is not remake]
        self.settled.append(remake)

    def _save_if_due(self) -> None:
        settings, rows = self.tools.settings, len(self.embedded)
        late = time.monotonic() - self.last_save >= settings.commit_seconds
        if late or segment_is_full(rows, self.space.dimensions, settings.segment_rows):
            self._save()

    def _save(self) -> None:
        """Write what is embedded as a segment, then say in the ledger how far the versions are."""
        whole = whole_chunks(self.embedded)
        load = Load(self.embedded[:whole], self.settled)
        self.embedded, self.settled = self.embedded[whole:], []
        self.last_save = time.monotonic()
        if not load.remakes:
            return
        require_room(self.tools.settings, self.tools.ledger)
        number = self._reserve(load)
        values = self._write(number, load) if number is not None else {}
        reach("ledger.before")
        with self.lease.write() as c:
            if number is not None:
                preparations.add_segment(c, self.state.id, self.job.id, number, **values)
            preparations.put(
                c, self.state.id, self.job.id, [remake.as_row(number) for remake in load.remakes]
            )
            row = self._count(c, load)
        reach("ledger.after")
        settled = row.done + row.failed
        if too_many_failures(row.failed, settled, self.tools.settings.max_failures_ratio):
            raise GaveUp(f"{row.failed} of {settled} documents cannot be embedded by {self.space.model}")

    def _reserve(self, load: Load) -> int | None:
        """A number for the segment, and one for each version that is recut."""
        reach("reserve.before")
        with self.lease.write() as c:
            new = [remake for remake in load.remakes if remake.recut and remake.recut_id is None]
            first = collections.reserve(c, self.state.id, "next_version_id", len(new))
            for number, remake in enumerate(new, first):
                remake.recut_id = number
            segment_id = segments.reserve(c, self.state.id, self.lease.token) if load.parts else None
        reach("reserve.after")
        return segment_id

    def _write(self, number: int, load: Load) -> dict[str, Any]:
        """The segment's files; what the ledger is to say of them."""
        name = SegmentId(number, self.lease.token)
        metric = "cosine" if self.space.normalised else "l2"
        first, last = ranges([part.remake for part in load.parts])
        files = write_segment(self.state.folder, name, self.state.id, metric, load.contents())
        stored = {"faiss": as_json(files.vectors), "chunks": as_json(files.chunks), "rows": files.rows}
        return {**stored, "first_batch": first, "last_batch": last, "verified_at": utc_now()}

    def _count(self, c: Connection, load: Load) -> AnyRow:
        metrics.add(c, "ingest_chunks_total", len(load.parts))
        counts = {
            "done": sum(remake.done and remake.failed is None for remake in load.remakes),
            "failed": sum(remake.failed is not None for remake in load.remakes),
            "chunks": len(load.parts),
            "chunks_reused": sum(part.reused for part in load.parts),
        }
        return jobs.count(c, self.job.id, "prepared", counts, losses=0)
