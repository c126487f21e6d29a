"""`tidestone ingest`: find or make the job, work on it or follow who does, and say how it ended."""

import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import closing, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from threading import Event
from typing import Any

from service.app import make_jobs, open_tools
from service.commands.follow import Display, View, display
from service.commands.outcome import EXIT_CODES, SHOWN_FAILURES, Intent, exit_code, refuse_another, report
from service.core.job import UNFINISHED, State, Verb
from service.data_folder import open_ledger
from service.engine import collections
from service.engine.jobs import Jobs, Order
from service.engine.roots import Location, locate
from service.engine.sweep import sweep
from service.engine.worker import Worker
from service.errors import BadRequest, IllegalMove, NotFound, TryAgain
from service.ledger import jobs as job_rows
from service.ledger.database import AnyRow, Ledger
from service.settings import Settings
from service.working import SWEEP_SECONDS, new_worker_id, registered, stop_on_signals

POLL_SECONDS = 0.25


@dataclass
class Companion:
    """Sees jobs through: works on them when nobody else does, and watches otherwise."""

    jobs: Jobs
    worker: Worker
    shown: Display
    executor: ThreadPoolExecutor
    working: Future[bool] | None = None
    next_sweep: float = 0.0

    def see_through(self, job_id: str) -> View:
        """Until the job is settled, paused, or this process is told to stop; the job as it is then."""
        while True:
            busy = self._busy()
            view = self.jobs.get(job_id)
            self.shown.show(view)
            if not busy:
                if self.worker.stop.is_set() or State(view["state"]) in (*EXIT_CODES, State.PAUSED):
                    return view
                self._take_or_watch(view)

    def settle_the_dead(self) -> None:
        """Jobs of dead workers become interrupted; looks at most every other second."""
        if time.monotonic() < self.next_sweep:
            return
        self.next_sweep = time.monotonic() + SWEEP_SECONDS
        with suppress(TryAgain):  # the ledger is busy: a later look will do
            sweep(self.jobs.ledger, self.worker.observer, self.jobs.settings)

    def _busy(self) -> bool:
        """Whether the work goes on, after a moment's wait for its end. Raises what the work raised."""
        if self.working is None:
            return False
        wait([self.working], timeout=POLL_SECONDS)
        if not self.working.done():
            return True
        taken, self.working = self.working.result(), None
        if not taken:
            self.worker.stop.wait(POLL_SECONDS)
        return False

    def _take_or_watch(self, view: View) -> None:
        state = State(view["state"])
        if state == State.INTERRUPTED:
            with suppress(IllegalMove, TryAgain):  # somebody else was faster
                self.jobs.ask(view["id"], Verb.RESUME)
        elif state in (State.QUEUED, State.CANCELLING) and _is_due(view):
            with self.jobs.ledger.read() as c:
                row = job_rows.get(c, view["id"])
            self.working = self.executor.submit(self._try, row)
        else:
            self.settle_the_dead()
            self.worker.stop.wait(POLL_SECONDS)

    def _try(self, row: AnyRow) -> bool:
        try:
            return self.worker.try_job(row)
        except TryAgain:
            return False


def ingest(settings: Settings, order: Order, intent: Intent, silent: bool) -> tuple[dict[str, Any], int]:
    """Carry the order out; (what to report, exit code). Raises BadRequest, Conflict, and what opening raises."""
    stop = Event()
    stop_on_signals(stop)
    with (
        closing(open_ledger(settings)) as ledger,
        open_tools(settings, ledger) as tools,
        registered(tools, new_worker_id(), stop) as worker,
        ThreadPoolExecutor(1, "work") as executor,
        display(silent) as shown,
    ):
        companion = Companion(make_jobs(settings, ledger), worker, shown, executor)
        companion.settle_the_dead()
        began, before = time.monotonic(), _describe(ledger, order.collection)
        job_id = choose(companion.jobs, order, intent, companion.see_through)
        first = companion.jobs.get(job_id)
        last = companion.see_through(job_id)
        seconds = time.monotonic() - began
        told = report(first, last, seconds, before, _describe(ledger, order.collection))
        failures = companion.jobs.items(job_id, state="failed", limit=SHOWN_FAILURES)["items"]
    return told | {"failures": failures}, exit_code(State(last["state"]))


def place(settings: Settings, path: Path, root: str | None) -> Location:
    """The folder that is meant: who works on this machine is not bound to the library roots. Raises BadRequest."""
    return locate(settings.service.library_roots, path, root)


def choose(jobs: Jobs, order: Order, intent: Intent, settle: Callable[[str], View]) -> str:
    """The id of the unfinished job that is meant, or of a new one. Raises BadRequest, Conflict."""
    latest = jobs.find(order)
    unfinished = latest if latest is not None and State(latest["state"]) in UNFINISHED else None
    if intent.resume:
        return _resumed(jobs, latest, order)
    if unfinished is not None and not intent.fresh:
        theirs = {"path": unfinished["source"]["path"], **unfinished["options"]}
        ours = {"path": str(order.path), "folder": order.folder, **intent.given}
        ways_out = "--resume goes on with it as it was ordered, --fresh cancels it."
        refuse_another(unfinished, theirs, ours, ways_out)
        return str(unfinished["id"])
    if unfinished is not None:
        jobs.ask(unfinished["id"], Verb.CANCEL)
        if settle(unfinished["id"])["state"] in UNFINISHED:
            return str(unfinished["id"])  # told to stop meanwhile
    return str(jobs.create(replace(order, mode="fresh") if intent.fresh else order)["id"])


def _resumed(jobs: Jobs, latest: View | None, order: Order) -> str:
    if latest is None or not (latest["can"]["resume"] or State(latest["state"]) in UNFINISHED):
        found = "no job yet" if latest is None else f"job {latest['id']} is {latest['state']}"
        raise BadRequest(f"There is nothing to resume for {order.path} ({found}): leave --resume out.")
    if latest["can"]["resume"]:
        jobs.ask(latest["id"], Verb.RESUME)
    return str(latest["id"])


def _is_due(view: View) -> bool:
    retry_at = (view["reason"] or {}).get("retry_at")
    return retry_at is None or datetime.fromisoformat(retry_at) <= datetime.now(UTC)


def _describe(ledger: Ledger, collection: str) -> dict[str, Any]:
    try:
        return collections.describe(ledger, collection)
    except NotFound:
        return {}
