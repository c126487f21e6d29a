"""Run one job's work: items in, checkpoints out, until it is done or told to stop."""

import random
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, wait
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from threading import Event

from service.core.pace import (
    backoff_seconds,
    segment_is_full,
    too_many_failures,
)
from service.engine.claims import Claims
from service.engine.commit import Committer
from service.engine.draft import Batch
from service.engine.feeder import Feeder
from service.engine.gathered import Gathered
from service.engine.guarding import decide, note_doubted
from service.engine.intake import Intake
from service.engine.lease import Lease
from service.engine.open_item import Rules
from service.engine.owner import Owner
from service.engine.recall import Recall
from service.engine.removal import removals
from service.engine.reuse import Reuse
from service.engine.room import require_room
from service.engine.tools import Tools
from service.errors import LeaseLost
from service.ledger import items, jobs, metrics
from service.ledger.database import AnyRow, utc_now
from service.ports import Float32Vector, Source

MOST_WAITING = 256  # chunks submitted and not collected: enough that the pool never runs dry
_TICK_SECONDS = 0.1
_KEEP_ROWS = 32  # a document of which an orderly stop has fewer rows starts again instead
_LAST_RESULTS_SECONDS = 1.0
_DELETES_AT_ONCE = 200


class Interrupted(Exception):
    """A wish, SIGTERM or an errand: stop at the next safe point."""


class GaveUp(Exception):
    """Going on is pointless."""


class Interruptible:
    """Work under a lease that a wish, SIGTERM or an errand may stop."""

    lease: Lease
    stop: Event

    @property
    def has_to_stop(self) -> bool:
        """Whether somebody wants this work to stop."""
        return self.stop.is_set() or self.lease.wish != "running"

    def check(self) -> None:
        """Raise Interrupted or LeaseLost when this work must stop, or let an errand go first."""
        self.check_wish()
        if self.lease.errand:
            raise Interrupted

    def check_wish(self) -> None:
        """Raise Interrupted or LeaseLost when this work must stop."""
        if self.lease.lost:
            raise LeaseLost("another worker holds the collection")
        if self.has_to_stop:
            raise Interrupted


@dataclass
class Ingest(Interruptible):
    """One tenure of one job."""

    tools: Tools
    lease: Lease
    committer: Committer
    recall: Recall
    job: AnyRow
    owner: Owner
    source: Source
    stop: Event
    merge: Callable[[], bool]
    wake: Event = field(default_factory=Event)
    last_commit: float = field(default_factory=time.monotonic)

    def __post_init__(self) -> None:
        options = self.job.options
        self.batch_size: int = options.get("batch_size") or self.tools.settings.batch_size
        self.intake = self._new_intake()
        self.claims = Claims(
            self.tools, self.lease, self.job, self.owner.recipe, self.source, self.batch_size
        )
        self.restarts = dict(self.tools.embedder_restarts())
        self.watched: Future[Float32Vector] | None = None

    def work(self) -> None:
        """Settle every open item, what takes something away last. Raises Interrupted, GaveUp, LeaseLost, TryAgain, Corrupt."""
        with self.tools.ledger.read() as c:
            if not items.open_count(c, self.job.id):
                return
        started = time.monotonic()
        self._stage("embed")
        workers = self.job.options.get("workers") or self.tools.settings.parse_workers
        feeder = Feeder(self.tools.preparer, workers, self.wake)
        try:
            self._upserts(feeder, items.UPSERT)
            with self.lease.write() as c:
                decide(c, self.job.id)
            self._upserts(feeder, items.ALLOWED)
        finally:
            feeder.stop()
            self._measure("embed", started)
        started = time.monotonic()
        self._deletes()
        self._measure("remove", started)

    def save_what_is_embedded(self) -> None:
        """After Interrupted: commit what has its vectors, give the rest back."""
        self.drop_what_is_queued()
        running = [row.future for row in self._gathered.waiting if not row.future.cancelled()]
        wait(running, timeout=_LAST_RESULTS_SECONDS)
        self.intake.collect()
        most = len(self._gathered.ready) + len(self._gathered.batch.outcomes)
        self._commit(self.intake.take_batch(most, worth_keeping=_KEEP_ROWS))
        self.claims.give_back()
        self.intake = self._new_intake()

    def drop_what_is_queued(self) -> None:
        """Take back from the embedder what it has not begun."""
        for row in self._gathered.waiting:
            row.future.cancel()

    @property
    def _gathered(self) -> Gathered:
        return self.intake.gathered

    def _new_intake(self) -> Intake:
        options = self.job.options
        rules = Rules(
            self.owner.recipe,
            options.get("mode") == "fresh",
            self.tools.settings.max_retries,
        )
        reuse = Reuse(self.tools.embedder.submit)
        self.recall.start(reuse)
        return Intake(rules, reuse, self.recall)

    def _upserts(self, feeder: Feeder, op: str) -> None:
        claims = self.claims
        claims.op, claims.look_again = op, 0.0
        while True:
            self.check()
            had_some = bool(claims.in_hand)
            more = claims.take_on(self.intake, feeder)
            self._take_in(feeder)
            self.intake.collect()
            self._commit_if_due()
            if claims.in_hand or (more and not had_some):
                self._wait_a_moment()
            elif had_some:
                claims.look_again = 0.0  # what was in hand during the last look may be pending again
            else:
                return

    def _wait_a_moment(self) -> None:
        first = self._gathered.waiting[0].future if self._gathered.waiting else None
        if first is not None and first is not self.watched:
            self.watched = first
            first.add_done_callback(lambda _: self.wake.set())
        self.wake.wait(_TICK_SECONDS)
        self.wake.clear()

    def _take_in(self, feeder: Feeder) -> None:
        self.intake.go_on()
        while len(self._gathered.waiting) < MOST_WAITING and not self._is_full():
            said = feeder.take()
            if said is None:
                return
            self.intake.take(said.item_id, said.stream, said.what)

    def _commit_if_due(self) -> None:
        intake, settings = self.intake, self.tools.settings
        more = True
        while more:
            rows, dimensions = len(self._gathered.embedded), self.tools.embedder.space.dimensions
            late = time.monotonic() - self.last_commit >= settings.commit_seconds
            if late or segment_is_full(rows, dimensions, settings.segment_rows):
                self._commit(intake.take_batch(self.batch_size, worth_keeping=1))
            elif self._is_full() or intake.quiet or intake.postponed or intake.doubted:
                self._commit(intake.take_batch(self.batch_size))
            else:
                return
            more = bool(self._gathered.ready)

    def _is_full(self) -> bool:
        """Whether one commit has enough to carry."""
        return self._gathered.is_full or self._gathered.settled >= self.batch_size

    def _commit(self, batch: Batch) -> None:
        if batch:
            require_room(self.tools.settings, self.tools.ledger)
            while self.merge():  # before one more segment is added
                pass
            batch.restarts = self._new_restarts()
            self.committer.commit(batch, self.owner)
            self._count(batch)
        self.last_commit = time.monotonic()
        self.claims.let_go(outcome.item_id for outcome in batch.outcomes)
        self._postpone()

    def _new_restarts(self) -> dict[str, int]:
        """Embedder children replaced since the last commit, by reason."""
        now = dict(self.tools.embedder_restarts())
        new = {reason: count - self.restarts.get(reason, 0) for reason, count in now.items()}
        self.restarts = now
        return {reason: count for reason, count in new.items() if count}

    def _count(self, batch: Batch) -> None:
        if not any(outcome.state == "failed" for outcome in batch.outcomes):
            return
        with self.tools.ledger.read() as c:
            job = jobs.get(c, self.job.id)
        # What has not changed counts too: a few bad files that are new say little about a library that is in.
        settled = job.failed + job.done + job.skipped + job.unchanged + job.known_failed
        if too_many_failures(job.failed, settled, self.tools.settings.max_failures_ratio):
            raise GaveUp(f"{job.failed} of {settled} items failed; see the job's failed items")

    def _postpone(self) -> None:
        """Items that are given back: only now that all they had said is committed or dropped."""
        intake = self.intake
        if not (intake.postponed or intake.doubted) or self._gathered.ready:
            return
        with self.lease.write() as c:
            for item, error in intake.postponed:
                wait_seconds = backoff_seconds(item.tries, random.random())
                due = datetime.now(UTC) + timedelta(seconds=wait_seconds)
                items.postpone(c, item.id, due.isoformat(timespec="microseconds"), error.reason, error.detail)
            if intake.doubted:
                note_doubted(c, self.job.id, intake.doubted)
        self.claims.let_go(item.id for item, _ in (*intake.postponed, *intake.doubted))
        intake.postponed.clear()
        intake.doubted.clear()

    def _deletes(self) -> None:
        self._stage("remove")
        while True:
            self.check()
            with self.tools.ledger.read() as c:
                found = items.next_pending(c, self.job.id, items.DELETE, _DELETES_AT_ONCE, utc_now())
            if not found:
                return
            with self.lease.write() as c:
                started = items.start(c, [item.id for item in found])
                found = [item for item in found if item.id in started]
                known = self.claims.known(c, found)
            back = self._came_back(found)
            for batch in removals(zip(found, known, strict=True), back):
                self._commit(batch)
                self.check()

    def _came_back(self, found: Sequence[AnyRow]) -> set[int]:
        """Items whose files the source lists again: what its rules leave out has not come back."""
        items_of = {(item.folder, item.name): item.id for item in found}
        back = set()
        for folder in {item.folder for item in found}:
            for part in self.source.scan(folder, self.check):
                back |= {items_of[folder, name] for name in part.files if (folder, name) in items_of}
        return back

    def _stage(self, stage: str) -> None:
        with self.lease.write() as c:
            jobs.note(c, self.job.id, stage=stage)

    def _measure(self, stage: str, started: float) -> None:
        with self.lease.write() as c:
            metrics.observe(c, "ingest_stage_duration_seconds", time.monotonic() - started, stage=stage)
