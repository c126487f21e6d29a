"""A process that works on jobs: how it is known, how it is stopped, what it leaves behind."""

import os
import signal
import socket
from _thread import start_new_thread
from collections.abc import Iterator
from contextlib import closing, contextmanager
from threading import Event, Thread
from types import FrameType
from uuid import uuid4

from structlog.contextvars import bound_contextvars

from service import __version__, failpoints
from service.app import make_collector, make_merger, make_scrubber, open_tools
from service.children import WORKER_GOES, die_with_parent, go_first
from service.data_folder import open_ledger
from service.engine.lease import Observer
from service.engine.sweep import sweep
from service.engine.tools import Tools
from service.engine.worker import Worker
from service.errors import TryAgain
from service.ledger import workers
from service.ledger.database import AnyRow, Ledger
from service.ledger.soundness import require_sound
from service.settings import Settings, armed_failpoints

SWEEP_SECONDS = 2.0
STOPPING_SECONDS = 10.0  # for the right to write, once SIGTERM has come: a supervisor waits for 25 altogether


class NamedWorker(Worker):
    """A worker whose log lines bear the job's id."""

    def try_job(self, job: AnyRow) -> bool:
        with bound_contextvars(job=job.id):
            return super().try_job(job)


def new_worker_id() -> str:
    """Random at every start: a restarted container has the host name and the process ids it had before."""
    return f"worker-{uuid4().hex[:12]}"


def work(settings: Settings, worker_id: str, parent: int | None) -> None:
    """Take jobs until SIGTERM, which ends in a checkpoint. `parent`: the supervisor, whose end is a SIGTERM."""
    stop = Event()
    stop_on_signals(stop)
    if parent is not None:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the supervisor's to answer
        die_with_parent(parent, signal.SIGTERM)
        go_first(WORKER_GOES)
    with (
        closing(open_ledger(settings)) as ledger,
        open_tools(settings, ledger) as tools,
        registered(tools, worker_id, stop) as worker,
    ):
        Thread(target=_sweep, args=(worker,), name="sweeper", daemon=True).start()
        Thread(target=make_scrubber(settings, ledger).run, args=(stop,), name="scrubber", daemon=True).start()
        Thread(target=make_merger(settings, ledger).run, args=(stop,), name="merger", daemon=True).start()
        Thread(
            target=make_collector(settings, ledger).run, args=(stop,), name="collector", daemon=True
        ).start()
        worker.run()


@contextmanager
def registered(tools: Tools, worker_id: str, stop: Event) -> Iterator[NamedWorker]:
    """A worker that the ledger knows of, with failpoints armed if a test wants them."""
    failpoints.arm(armed_failpoints())
    if tools.ledger.file is not None and tools.ledger.left_open:
        require_sound(tools.ledger.file, stop.set)
    with tools.ledger.write() as c:
        workers.register(c, worker_id, os.getpid(), socket.gethostname(), {"version": __version__})
    Thread(target=_hurry, args=(tools.ledger, stop), name="hurry", daemon=True).start()
    try:
        yield NamedWorker(tools, worker_id, stop)
    finally:
        try:
            with tools.ledger.write() as c:
                workers.end(c, worker_id)
        finally:
            stop.set()


def stop_on_signals(stop: Event) -> None:
    """SIGTERM and SIGINT ask for a checkpoint; a second Ctrl-C ends the process at once, which is safe too.

    A second SIGTERM changes nothing: systemd sends one to every process, and the supervisor one more.
    """

    def ask(number: int, _: FrameType | None) -> None:
        # Not here: a handler runs in the midst of anything, and whoever waits for the event, or sets it, holds its lock.
        start_new_thread(stop.set, ())
        if number == signal.SIGINT:
            signal.signal(number, signal.SIG_DFL)

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, ask)


def _hurry(ledger: Ledger, stop: Event) -> None:
    """Where somebody keeps the ledger, the last writes are given up in time; the next worker takes over from there."""
    stop.wait()
    ledger.hurry(STOPPING_SECONDS)


def _sweep(worker: Worker) -> None:
    observer = Observer()
    while not worker.stop.wait(SWEEP_SECONDS):
        try:
            sweep(worker.tools.ledger, observer, worker.tools.settings, worker.worker_id)
        except TryAgain:
            continue  # the ledger is busy; the next round will do
