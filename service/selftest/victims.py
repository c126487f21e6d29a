"""Workers that can be killed and frozen: a warm process forks one per command. JSON lines in, JSON lines out."""

import gc
import json
import logging
import os
import signal
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, NoReturn

from service import failpoints
from service.core.job import Verb
from service.engine.lease import Observer
from service.engine.sweep import sweep
from service.selftest.lagging_embedder import LaggingEmbedder
from service.selftest.world import World

_ONE_THREAD = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}  # what is forked must have no threads


@dataclass(frozen=True)
class Ended:
    """How a victim stands: killed by a signal, frozen, or at its own end."""

    signal: int | None = None
    stopped: bool = False
    code: int | None = None


KILLED = Ended(signal=signal.SIGKILL)
FINISHED = Ended(code=0)


class Victims:
    """The test's end of the pipe; leaving the block kills every victim that is left."""

    def __enter__(self) -> "Victims":
        command = [sys.executable, "-m", "service.selftest.victims"]
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, **_ONE_THREAD},
        )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        with self._process:
            assert self._process.stdin is not None
            self._process.stdin.close()

    def start(self, folder: Path, arm: str = "", **settings: Any) -> int:
        """Begin a victim that takes up the folder's unfinished job; returns its pid."""
        task = {"folder": str(folder), "arm": arm, "settings": settings}
        return int(self._ask(do="start", task=task)["pid"])

    def wait(self, pid: int) -> Ended:
        """Until it is killed, frozen or at its end."""
        return Ended(**self._ask(do="wait", pid=pid))

    def run(self, folder: Path, arm: str = "", **settings: Any) -> Ended:
        """Start and wait."""
        return self.wait(self.start(folder, arm, **settings))

    def thaw(self, pid: int) -> None:
        """Let a frozen victim go on."""
        self._ask(do="thaw", pid=pid)

    def _ask(self, **command: Any) -> dict[str, Any]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        print(json.dumps(command), file=self._process.stdin, flush=True)
        answer: dict[str, Any] = json.loads(self._process.stdout.readline())
        return answer


def take_up(world: World, dead_seconds: float = 0.0) -> bool:
    """Settle the job of a dead worker, resume it, and see it through as a new worker would."""
    sweep(world.ledger, Observer(dead_seconds), world.settings)
    job = world.jobs.find(world.order())
    if job is not None and job["can"]["resume"]:
        world.jobs.ask(job["id"], Verb.RESUME)
    return world.worker(f"worker-{os.getpid()}", dead_seconds).take_one()


def _victim(task: dict[str, Any]) -> NoReturn:
    folder = Path(task["folder"])
    log = os.open(folder / "victims.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(log, sys.stderr.fileno())
    logging.basicConfig(level=logging.INFO, format=f"{os.getpid()} %(message)s")
    failpoints.arm(task["arm"])
    try:
        world = World(folder, embedder=LaggingEmbedder())
        world.configure(**task["settings"])
        took = take_up(world)
        world.ledger.close()
    except BaseException:
        logging.exception("the victim ended of itself")
        os._exit(1)
    os._exit(0 if took else 2)


def _start(task: dict[str, Any]) -> dict[str, Any]:
    pid = os.fork()
    if pid == 0:
        _victim(task)
    return {"pid": pid}


def _wait(pid: int) -> dict[str, Any]:
    _, status = os.waitpid(pid, os.WUNTRACED)
    if os.WIFSTOPPED(status):
        return {"stopped": True}
    return {"signal": os.WTERMSIG(status)} if os.WIFSIGNALED(status) else {"code": os.WEXITSTATUS(status)}


def _warm_up() -> None:
    """Do once, without victims' threads, what every victim would do again: late imports, caches."""
    with tempfile.TemporaryDirectory() as folder:
        world = World(Path(folder))
        world.write("a.txt", "one document")
        world.run()
        world.ledger.close()
    gc.freeze()


def _serve() -> None:
    _warm_up()
    alive: set[int] = set()
    for line in sys.stdin:
        command = json.loads(line)
        answer: dict[str, Any] = {}
        if command["do"] == "start":
            answer = _start(command["task"])
            alive.add(answer["pid"])
        elif command["do"] == "wait":
            answer = _wait(command["pid"])
            if "stopped" not in answer:
                alive.discard(command["pid"])
        else:
            os.kill(command["pid"], signal.SIGCONT)
        print(json.dumps(answer), flush=True)
    for pid in alive:
        os.kill(pid, signal.SIGKILL)


if __name__ == "__main__":
    _serve()
