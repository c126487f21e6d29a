"""`tidestone reindex`: find or make the job, work on it or follow who does."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from threading import Event
from typing import Any

from service.app import make_jobs, open_tools
from service.commands.console import say, show_facts
from service.commands.follow import display
from service.commands.ingesting import Companion
from service.commands.outcome import exit_code
from service.core.job import State
from service.data_folder import open_ledger
from service.engine import collections
from service.maintenance.reindex_order import Reindexing
from service.settings import Settings
from service.working import new_worker_id, registered, stop_on_signals


def reindex(settings: Settings, collection: str, silent: bool) -> tuple[dict[str, Any], int]:
    """See it through; (what to report, exit code). Raises NotFound, Conflict, TryAgain, and what opening raises."""
    stop = Event()
    stop_on_signals(stop)
    with (
        closing(open_ledger(settings, create=False)) as ledger,
        open_tools(settings, ledger) as tools,
        registered(tools, new_worker_id(), stop) as worker,
        ThreadPoolExecutor(1, "work") as executor,
        display(silent) as shown,
    ):
        companion = Companion(make_jobs(settings, ledger), worker, shown, executor)
        companion.settle_the_dead()
        job_id = _choose(Reindexing(companion.jobs), collection)
        last = companion.see_through(job_id)
        report = {"job": last, "collection": collections.describe(ledger, collection)}
    return report, exit_code(State(last["state"]))


def show_reindexed(report: dict[str, Any]) -> None:
    """The job at its end, in words."""
    job, collection = report["job"], report["collection"]
    reason = (job["reason"] or {}).get("message")
    told = {"job": job["id"], "state": job["state"], "reason": reason, "documents": job["progress"]["done"]}
    told |= {"failed": job["progress"]["failed"] or None, "chunks": job["progress"]["chunks"]}
    show_facts({**told, "collection": collection["name"], "model": collection["space"]["model"]})
    if job["can"]["resume"]:
        say(f"tidestone resume {job['id']} lets it go on")


def _choose(reindexing: Reindexing, collection: str) -> str:
    """The unfinished job, which the same command goes on with (not where it is paused), or a new one."""
    return str((reindexing.unfinished(collection) or reindexing.create(collection))["id"])
