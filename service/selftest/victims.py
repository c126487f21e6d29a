"""Workers that can be killed and frozen: a warm process forks one per command. JSON lines in, JSON lines out."""

import gc
import json
import logging
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, NoReturn

from service import failpoints
from service.children import die_with_parent
from service.core.space import Space
from service.selftest.account import account_of, ending_of, traces_in
from service.selftest.deeds import take_up
from service.selftest.fake_embedder import FAKE_SPACE
from service.selftest.lagging_embedder import LaggingEmbedder
from service.selftest.phases import NAMED
from service.selftest.world import World

LOG = "victims.log"
MOST_SECONDS = 180  # of one victim's life: what takes longer hangs
_ONE_THREAD = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}  # what is forked must have no threads


@dataclass(frozen=True)
class Ended:
    """How a victim stands: killed by a signal, frozen, or at its own end."""

    signal: int | None = None
    stopped: bool = False
    code: int | None = None


KILLED = Ended(signal=signal.SIGKILL)
STOPPED = Ended(stopped=True)
FINISHED = Ended(code=0)
IDLE = Ended(code=2)  # there was nothing to do for it


class Victims:
    """The nearer end of the pipe; leaving the block kills every victim that is left."""

    def __enter__(self) -> "Victims":
        command = [sys.executable, "-m", "service.selftest.victims", str(os.getpid())]
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

    def start(self, folder: Path, arm: str = "", do: str = "take_up", **settings: Any) -> int:
        """Begin a victim that does a deed (see `deed`) in a folder; returns its pid."""
        task = {"folder": str(folder), "arm": arm, "do": do, "settings": settings}
        return int(self._ask(do="start", task=task)["pid"])

    def wait(self, pid: int) -> Ended:
        """Until it is killed, frozen or at its end."""
        return Ended(**self._ask(do="wait", pid=pid))

    def poll(self, pid: int) -> Ended | None:
        """As `wait`, at once; None: it is at work. What has ended is told once only."""
        answer = self._ask(do="poll", pid=pid)
        return Ended(**answer) if answer else None

    def run(self, folder: Path, arm: str = "", do: str = "take_up", **settings: Any) -> Ended:
        """Start and wait."""
        return self.wait(self.start(folder, arm, do, **settings))

    def thaw(self, pid: int) -> None:
        """Let a frozen victim go on."""
        self._ask(do="thaw", pid=pid)

    def _ask(self, **command: Any) -> dict[str, Any]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        print(json.dumps(command), file=self._process.stdin, flush=True)
        answer: dict[str, Any] = json.loads(self._process.stdout.readline())
        return answer


def deed(name: str) -> Callable[[World], Any]:
    """What a name stands for: "take_up", "traces", or a phase's: "<phase>.prepare", "<phase>.act", "<phase>.ending"."""
    single: dict[str, Callable[[World], Any]] = {"take_up": take_up, "traces": traces_in}
    phase, _, part = name.partition(".")
    if not part:
        return single[name]
    if part == "ending":
        return partial(ending_of, NAMED[phase])
    found: Callable[[World], Any] = getattr(NAMED[phase], part)
    return found


def _space(deed: str) -> Space:
    """Of the configured model; another one is configured after a phase is prepared, if at all."""
    phase, _, part = deed.partition(".")
    return NAMED[phase].space if part and part != "prepare" else FAKE_SPACE


def _victim(task: dict[str, Any], parent: int) -> NoReturn:
    die_with_parent(parent, signal.SIGKILL)
    signal.alarm(MOST_SECONDS)
    folder = Path(task["folder"])
    log = os.open(folder / LOG, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(log, sys.stderr.fileno())
    logging.basicConfig(level=logging.INFO, format=f"{os.getpid()} %(message)s")
    failpoints.arm(task["arm"])
    try:
        world = World(folder, embedder=LaggingEmbedder(space=_space(task["do"])))
        world.configure(**task["settings"])
        did = deed(task["do"])(world)
        world.ledger.close()
        if isinstance(did, dict):
            (folder / f"{task['do']}.json").write_text(json.dumps(did))
    except BaseException:
        logging.exception("the victim ended of itself")
        os._exit(1)
    os._exit(2 if did is False else 0)


def _start(task: dict[str, Any]) -> dict[str, Any]:
    parent, pid = os.getpid(), os.fork()
    if pid == 0:
        _victim(task, parent)
    return {"pid": pid}


def _wait(pid: int, options: int = 0) -> dict[str, Any]:
    found, status = os.waitpid(pid, os.WUNTRACED | options)
    if not found:
        return {}
    if os.WIFSTOPPED(status):
        return {"stopped": True}
    return {"signal": os.WTERMSIG(status)} if os.WIFSIGNALED(status) else {"code": os.WEXITSTATUS(status)}


def _warm_up() -> None:
    """Do once, without victims' threads, what every victim would do again: late imports, caches."""
    with tempfile.TemporaryDirectory() as folder:
        world = World(Path(folder))
        world.write("a.txt", "one document")
        world.run()
        account_of(world)
        world.ledger.close()
    gc.freeze()


def _serve() -> None:
    die_with_parent(int(sys.argv[1]), signal.SIGTERM)
    _warm_up()
    alive: set[int] = set()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to answer
    for line in sys.stdin:
        command = json.loads(line)
        answer: dict[str, Any] = {}
        if command["do"] == "start":
            answer = _start(command["task"])
            alive.add(answer["pid"])
        elif command["do"] == "thaw":
            os.kill(command["pid"], signal.SIGCONT)
        else:
            answer = _wait(command["pid"], os.WNOHANG if command["do"] == "poll" else 0)
            if answer and "stopped" not in answer:
                alive.discard(command["pid"])
        print(json.dumps(answer), flush=True)
    for pid in alive:
        os.kill(pid, signal.SIGKILL)


if __name__ == "__main__":
    _serve()
