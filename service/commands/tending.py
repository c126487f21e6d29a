"""See one maintenance task through: do it if nobody else holds the collection, else wait for who does."""

from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from threading import Event
from typing import Any

from service.app import make_keeper
from service.commands.console import say, show_facts, show_table
from service.core.upkeep import OPEN, TaskState
from service.data_folder import open_ledger
from service.maintenance.keeper import Keeper
from service.maintenance.orders import Orders
from service.settings import Settings
from service.working import new_worker_id, stop_on_signals

POLL_SECONDS = 0.2
INTERRUPTED = 130

View = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Tended:
    """What a command of maintenance works with."""

    orders: Orders
    keeper: Keeper
    stop: Event

    def see_through(self, task: View) -> View:
        """The task at its end, or as it is when this process is told to stop: then somebody else goes on with it."""
        told, holder = False, new_worker_id()
        while TaskState((task := self.orders.get(task["id"]))["state"]) in OPEN and not self.stop.is_set():
            if self.keeper.serve_collection(self._collection_id(task), holder, self.stop):
                continue
            if not told:
                say(
                    "somebody else holds the collection, or it has to wait a moment; Ctrl-C only stops watching"
                )
                told = True
            self.stop.wait(POLL_SECONDS)
        return task

    def exit_code(self, task: View) -> int:
        """0: done; 1: refused or failed; 130: this process was told to stop before its end."""
        codes = {TaskState.DONE: 0, TaskState.FAILED: 1}
        return codes.get(TaskState(task["state"]), INTERRUPTED)

    def _collection_id(self, task: View) -> str:
        return self.orders.collection_id_of(task["id"])


@contextmanager
def tend(settings: Settings) -> Iterator[Tended]:
    """Ledger, orders and keeper, in a process that SIGTERM and Ctrl-C end in good order."""
    stop = Event()
    with closing(open_ledger(settings, create=False)) as ledger:
        stop_on_signals(stop)
        keeper = make_keeper(settings, ledger)
        yield Tended(Orders(ledger, keeper.settings), keeper, stop)


def show_task(task: View) -> None:
    """One task in words."""
    error = task["error"] or {}
    told = {
        "task": task["id"],
        "kind": task["kind"],
        "collection": task["collection"],
        "state": task["state"],
    }
    show_facts({**told, **(task["result"] or {}), "error": error.get("message")})


def show_tasks(page: View) -> None:
    """Tasks as a table."""
    columns = ("id", "collection", "kind", "state", "created_at", "finished_at")
    rows = ([task[name] for name in columns] for task in page["tasks"])
    show_table(columns, rows)
