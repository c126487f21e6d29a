"""Tidestone's commands as real processes, on a tiny library and with the real default model."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from service.engine.jobs import Jobs
from tests.model import default_model

REPOSITORY = Path(__file__).parent.parent
FROZEN_AFTER_A_COMMIT = {"TIDESTONE_FAILPOINTS": "publish.after=stop@1"}
OLD = 1_600_000_000  # a modification time that is trusted at once
SENTENCES = (
    "The harbour master counts the ships that come in before the tide turns.",
    "A seal was found on the mole and brought back to the sea in March.",
    "The lamp of the lighthouse was replaced by one that needs less power.",
    "Nobody may throw a line to the ferry while it is moored at the quay.",
)


@dataclass
class Place:
    """A folder with a library, settings and data; commands run in it, away from the repository's own."""

    folder: Path
    settings: dict[str, str] = field(default_factory=dict)
    started: list["subprocess.Popen[str]"] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.library.mkdir()
        self.settings["TIDESTONE_EMBEDDING__MODEL_PATH"] = str(default_model())

    @property
    def library(self) -> Path:
        return self.folder / "library"

    @property
    def data(self) -> Path:
        return self.folder / "data"

    def write(self, count: int, sentences: int = 4) -> None:
        """Text files of about `sentences` sentences each, all different."""
        for number in range(count):
            told = [f"{number}.{n}: {SENTENCES[(number + n) % 4]}" for n in range(sentences)]
            path = self.library / f"{number:04d}.txt"
            path.write_text("\n".join(told))
            os.utime(path, (OLD, OLD))

    def start(self, *arguments: str, **environment: str) -> "subprocess.Popen[str]":
        """A command that goes on by itself."""
        inherited = {k: v for k, v in os.environ.items() if not k.startswith(("TIDESTONE_", "INGESTION_"))}
        process = subprocess.Popen(
            [sys.executable, "-m", "service", *arguments],
            cwd=self.folder,
            env={**inherited, **self.settings, **environment, "PYTHONPATH": str(REPOSITORY)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.started.append(process)
        return process

    def close(self) -> None:
        """End what a failed test has left behind; a worker ends with its service."""
        for process in self.started:
            process.kill()
            process.communicate()

    def run(self, *arguments: str, **environment: str) -> "subprocess.CompletedProcess[str]":
        """A command, to its end."""
        process = self.start(*arguments, **environment)
        out, err = process.communicate(timeout=60)
        return subprocess.CompletedProcess(process.args, process.returncode, out, err)

    def ask(self, *arguments: str) -> Any:
        """What a command says with --json; it must succeed."""
        done = self.run(*arguments, "--json")
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)


def ended(process: "subprocess.Popen[str]", by: signal.Signals | None = None) -> tuple[int, str, str]:
    """(exit status, stdout, stderr) of a process, after the signal if one is named."""
    if by is not None:
        process.send_signal(by)
    out, err = process.communicate(timeout=60)
    return process.returncode, out, err


def frozen(process: "subprocess.Popen[str]") -> "subprocess.Popen[str]":
    """The process, once a failpoint has stopped it."""
    wait_for(lambda: state_of(process.pid) == "T")
    return process


def state_of(pid: int) -> str:
    """R, S, T (stopped), Z and so on; "" where there is no such process."""
    stat = Path(f"/proc/{pid}/stat")
    return stat.read_text().rpartition(")")[2].split()[0] if stat.exists() else ""


def wait_for(condition: Callable[[], Any], seconds: float = 30.0) -> Any:
    """The first true value of `condition`."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        found = condition()
        if found:
            return found
        time.sleep(0.02)
    raise AssertionError(f"not within {seconds} s")


def newest_job(jobs: Jobs) -> Mapping[str, Any]:
    """The newest job, or nothing."""
    found = jobs.listing(limit=1)["jobs"]
    return found[0] if found else {}


def children_of(pid: int) -> list[int]:
    """The processes that a process has started."""
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
