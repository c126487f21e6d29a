"""Real documents, the real model, real processes: what is run, what is killed, and whether the result is the same."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from service.index.manifest import read_manifest
from service.reader import Collection, Vector
from tests.e2e.serving import ROOT, environment

SAMPLES = ROOT / "deploy" / "sample-library"
LARGE_BYTES = 100_000  # of one document that takes many checkpoints
QUICK = {
    "TIDESTONE_INGESTION__BATCH_SIZE": "8",
    "TIDESTONE_INGESTION__COMMIT_SECONDS": "1",
    "TIDESTONE_INDEX__MAX_LIVE_SEGMENTS": "8",
}
PATIENCE_SECONDS = 300.0  # a busy machine may take long
Contents = dict[tuple[str, int, str], Vector]


@dataclass
class Run:
    """One data folder, and the one command that is given again and again."""

    library: Path
    data: Path
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> int:
        """`tidestone ingest`, its pid."""
        command = [sys.executable, "-m", "service", "ingest", str(self.library), "--json"]
        with (self.data.parent / "ingest.json").open("wb") as out:
            known = environment(self.data, **QUICK)
            self.process = subprocess.Popen(command, cwd=ROOT, env=known, stdout=out)
        return self.process.pid

    def wait(self) -> int:
        assert self.process is not None
        return self.process.wait(PATIENCE_SECONDS)

    @property
    def running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    @property
    def generation(self) -> int:
        """How many commits are published."""
        published = read_manifest(self.data / "collections/default")
        return published.generation if published is not None else 0

    def contents(self) -> Contents:
        """(key, chunk number, text) -> vector of everything live, from verified files."""
        opened = Collection.open(self.data / "collections/default")
        assert opened.verify() == []
        rows = [((row.key, row.ordinal, row.text), row.vector) for row in opened.rows()]
        assert len(dict(rows)) == len(rows), "a chunk is there twice"
        return dict(rows)


def uninterrupted(library: Path, data: Path) -> Contents:
    """What one run makes of a library when nothing goes wrong."""
    run = Run(library, data)
    run.start()
    assert run.wait() == 0
    return run.contents()


def check_equal(found: Contents, truth: Contents) -> None:
    """The same chunks, each once; vectors depend in their last bits on what they were batched with."""
    assert found.keys() == truth.keys()
    for chunk, vector in found.items():
        other = truth[chunk]
        cosine = float(vector @ other / (np.linalg.norm(vector) * np.linalg.norm(other)))
        assert cosine >= 0.9999, chunk


def descendants(pid: int) -> dict[int, str]:
    """Pid -> command line of every process below one, whichever thread started it."""
    found: dict[int, str] = {}
    with suppress(OSError):
        for children in Path(f"/proc/{pid}/task").glob("*/children"):
            for child in map(int, children.read_text().split()):
                found[child] = Path(f"/proc/{child}/cmdline").read_text().replace("\0", " ")
                found |= descendants(child)
    return found


def kill(pid: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def gone(pid: int) -> bool:
    with suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    return True


def wait_until(true: Callable[[], Any], seconds: float = PATIENCE_SECONDS) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "it never came to that"
        time.sleep(0.05)


def wait_for_commits(run: Run, count: int) -> None:
    """Until that many more are in, or the run is over."""
    goal = run.generation + count
    wait_until(lambda: run.generation >= goal or not run.running)
