"""See one job through under one lease: recovery, listing, work, outcome."""

import time
from contextlib import suppress
from datetime import UTC, datetime
from threading import Event

from sqlalchemy import Connection

from service.core.job import Fact, State
from service.engine.collections import check_space
from service.engine.comparing import Scope
from service.engine.holding import Holding
from service.engine.ingest import GaveUp, Ingest, Interrupted, Interruptible
from service.engine.lease import Lease
from service.engine.listing import Listing, Terms
from service.engine.merge import merge_if_needed
from service.engine.owner import Owner
from service.engine.publish import publish
from service.engine.recall import Recall
from service.engine.recover import count_restore, recover
from service.engine.repair import take_out
from service.engine.tools import Tools
from service.errors import TryAgain
from service.ledger import items, jobs, metrics
from service.ledger.database import AnyRow

_PUBLISH_AGAIN_SECONDS = 0.25


class Tenure:
    """One job under one lease."""

    def __init__(self, tools: Tools, stop: Event, job: AnyRow, lease: Lease, goes_on: bool) -> None:
        """`goes_on`: it has been worked on before, and has not only waited for a passing condition since."""
        self._goes_on = goes_on
        self._tools, self._stop, self._job, self._lease = tools, stop, job, lease
        self._holding = Holding.of(tools.ledger, tools.settings, lease, tools.store_id)
        self._state, self._committer = self._holding.state, self._holding.committer
        self._owner = Owner(job.id, job.service, job.source_id, self._tools.preparer.recipe.fingerprint)

    def see_through(self) -> None:
        """Recover, then work until the job is settled. Raises what the work raises."""
        try:
            self._recover()
            if self._job.state == State.CANCELLING:
                self._settle(Fact.CHECKPOINTED)
                return
            self._check_model()
            while not self._work():
                pass
        finally:
            self._state.close()

    def _check_model(self) -> None:
        """Raise SpaceMismatch where the collection's vectors mean something else."""
        check_space(self._state.space, self._tools.embedder.space)

    def _recover(self) -> None:
        damaged = recover(self._tools.ledger, self._lease, self._state)
        with self._lease.write() as c:
            in_flight = items.recover(c, self._job.id, witnessed=self._job.losses > 0)
        if damaged:
            take_out(self._tools.ledger, self._committer, self._state, self._owner, damaged)
        elif self._goes_on:
            count_restore(self._lease, "unclean" if in_flight or self._job.losses else "clean")
        if self._state.generation:
            publish(self._tools.ledger, self._lease, self._state)

    def _work(self) -> bool:
        """Work until the end or a wish; False when the wish was taken back meanwhile."""
        ingest = Ingest(
            self._tools,
            self._lease,
            self._committer,
            Recall(
                self._tools.ledger,
                self._state,
                self._owner.recipe,
                self._job.options.get("mode") == "fresh",
            ),
            self._job,
            self._owner,
            self._tools.open_source(self._job),
            self._stop,
            lambda: merge_if_needed(
                self._tools.ledger,
                self._lease,
                self._state,
                self._owner,
                self._tools.settings.max_live_segments,
            ),
        )
        try:
            self._list_if_needed(ingest)
            ingest.work()
            self._publish_for_certain(ingest)
        except Interrupted:
            ingest.save_what_is_embedded()
            with suppress(Interrupted):  # a wish has come meanwhile: it is obeyed below
                self._serve_errands(ingest)
            return self._settle(Fact.CHECKPOINTED)
        except (TryAgain, GaveUp):
            ingest.drop_what_is_queued()
            raise
        return self._finish()

    def _list_if_needed(self, ingest: Ingest) -> None:
        job, options = self._job, self._job.options
        if job.total is not None:
            return
        fresh = options.get("mode") == "fresh"
        terms = Terms(
            job_id=job.id,
            root=job.root,
            scope=Scope(job.source_id, options.get("folder", ""), self._owner.recipe, fresh),
        )
        started = time.monotonic()
        Listing(self._tools.ledger, self._lease, ingest.source, terms, lambda: self._pulse(ingest)).run()
        with self._lease.write() as c:
            self._job = jobs.get(c, job.id)
            seconds = time.monotonic() - started
            metrics.observe(c, "ingest_stage_duration_seconds", seconds, stage="list")

    def _pulse(self, ingest: Ingest) -> None:
        """A listing has nothing in hand: errands need not interrupt it."""
        ingest.check_wish()
        self._serve_errands(ingest)

    def _serve_errands(self, ingest: Interruptible) -> None:
        if self._lease.errand and not ingest.has_to_stop:
            self._tools.chores.serve(self._holding, ingest.check_wish)
            self._lease.errands_served()

    def _publish_for_certain(self, ingest: Interruptible) -> None:
        """Success is recorded last: not before readers can see it."""
        said = False
        state = self._state
        while state.published < state.generation and not publish(self._tools.ledger, self._lease, state):
            if not said:
                with self._lease.write() as c:
                    reason = {
                        "code": "publish_failing",
                        "message": "the manifest cannot be replaced; trying on",
                    }
                    jobs.note(c, self._job.id, "waiting", reason=reason)
                said = True
            ingest.check()
            time.sleep(_PUBLISH_AGAIN_SECONDS)

    def _finish(self) -> bool:
        with self._lease.write() as c:
            row = jobs.get(c, self._job.id)
            if items.open_count(c, row.id):  # somebody wants a failed item tried again, just now
                self._job = row
                return False
            withheld = row.deletes_withheld is not None or row.folders_unreadable is not None
            imperfect = row.failed > 0 or withheld
            fact = Fact.SOME_QUARANTINED if imperfect else Fact.ALL_DONE
            jobs.apply(c, row, fact, stage="", reason=None, phase="idle")
        return True

    def _settle(self, fact: Fact) -> bool:
        """A wish or SIGTERM has been obeyed, on a full disk too; False when there is no such wish any more."""
        return self._tools.ledger.insist(lambda c: self._settled(c, fact))

    def _settled(self, c: Connection, fact: Fact) -> bool:
        self._lease.hold(c)
        row = jobs.get(c, self._job.id)
        generation = self._state.generation
        if row.state == State.PAUSING:
            jobs.apply(c, row, fact, paused_at_checkpoint=generation, stage="")
            metrics.observe(c, "ingest_pause_latency_seconds", _seconds_since(row.wished_at))
        elif row.state == State.CANCELLING:
            jobs.apply(c, row, fact, stage="")
        elif self._stop.is_set():
            reason = {"code": "stopped", "message": "the worker was told to end; resume to go on"}
            jobs.apply(c, row, Fact.STOPPED, paused_at_checkpoint=generation, reason=reason, stage="")
        else:
            self._job = row
            self._lease.watch(row.id)  # the wish that it knows is out of date
            return False
        return True


def _seconds_since(at: str) -> float:
    return (datetime.now(UTC) - datetime.fromisoformat(at)).total_seconds()
