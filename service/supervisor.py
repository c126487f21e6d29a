"""Keep a worker alive beside the API, and settle the jobs of workers that died."""

import asyncio
import logging
import os
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from uuid import uuid4

from sqlalchemy.exc import SQLAlchemyError

from service.engine.lease import DEAD_SECONDS, Observer
from service.engine.settings import EngineSettings
from service.engine.sweep import resume_interrupted, sweep, worker_lost
from service.errors import TidestoneError
from service.ledger import workers
from service.ledger.database import Ledger

SWEEP_SECONDS = 2.0
STOP_SECONDS = 25.0  # for the worker's last checkpoint
FIRST_RESTART_SECONDS = 0.25
MOST_RESTART_SECONDS = 30.0
STEADY_SECONDS = 60.0  # a worker that lived so long is not in a crash loop

log = logging.getLogger("tidestone.supervisor")


@dataclass
class Supervisor:
    """Runs in the API process's event loop; the worker is a child and dies with it."""

    ledger: Ledger
    settings: EngineSettings
    auto_resume: bool = False
    with_worker: bool = True
    worker_pid: int | None = None
    worker_id: str = ""

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Sweep and supervise during the block; at its end wait for the worker's checkpoint."""
        tasks = [asyncio.create_task(self._sweep())]
        if self.with_worker:
            tasks.append(asyncio.create_task(self._keep_a_worker()))
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)

    async def _sweep(self) -> None:
        observer = Observer()
        # A worker of the life before may take until here to end, or to be known for dead.
        beginning = time.monotonic() + max(STOP_SECONDS, DEAD_SECONDS)
        while True:
            at_start = time.monotonic() < beginning
            await asyncio.to_thread(self._settle, observer, self.auto_resume and at_start)
            await asyncio.sleep(SWEEP_SECONDS)

    def _settle(self, observer: Observer, resume: bool) -> None:
        try:
            sweep(self.ledger, observer, self.settings, self.worker_id)
            if resume:
                resume_interrupted(self.ledger)
        except (TidestoneError, OSError, SQLAlchemyError) as error:  # the next round may find it better
            log.warning("jobs could not be looked after: %s", error)

    async def _keep_a_worker(self) -> None:
        deaths = 0
        while True:
            started = time.monotonic()
            try:
                status: int | str = await self._one_life(f"worker-{uuid4().hex[:12]}")
            except OSError as error:  # no memory or process to spare, which is often why the last one died
                status = str(error)
            deaths = 1 if time.monotonic() - started > STEADY_SECONDS else deaths + 1
            pause = min(FIRST_RESTART_SECONDS * 2 ** (deaths - 1), MOST_RESTART_SECONDS)
            log.warning("the worker ended with status %s; the next one starts in %s s", status, pause)
            await asyncio.sleep(pause)

    async def _one_life(self, worker_id: str) -> int:
        """Start a worker and see it end; its exit status."""
        command = ["-m", "service", "worker", "--id", worker_id, "--parent", str(os.getpid())]
        process = await asyncio.create_subprocess_exec(sys.executable, *command)
        self.worker_pid, self.worker_id = process.pid, worker_id
        try:
            status = await process.wait()
        except asyncio.CancelledError:
            await _end(process)
            raise
        finally:
            self.worker_pid = None
        if status:
            await asyncio.to_thread(self._mourn, worker_id)
        self.worker_id = ""
        return status

    def _mourn(self, worker_id: str) -> None:
        """What the dead worker had in hand goes on with the next."""
        while True:
            try:
                worker_lost(self.ledger, worker_id)
                with self.ledger.write() as c:
                    workers.end(c, worker_id)
                return
            except (TidestoneError, SQLAlchemyError) as error:
                log.warning("the ledger does not take the news: %s", error)
                time.sleep(SWEEP_SECONDS)


async def _end(process: asyncio.subprocess.Process) -> None:
    try:
        process.terminate()
        await asyncio.wait_for(process.wait(), STOP_SECONDS)
    except ProcessLookupError:
        pass  # it has ended just now
    except TimeoutError:
        log.error("the worker did not end within %s s and is killed", STOP_SECONDS)
        process.kill()
        await process.wait()
