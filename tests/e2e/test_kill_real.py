"""kill -9 of every kind of process at random moments, on real text with the real model: the result is the same."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from service.index.manifest import read_manifest
from service.reader import Collection, Vector
from tests.e2e.serving import ROOT, environment, serving

SAMPLES = ROOT / "deploy" / "sample-library"
LARGE_BYTES = 100_000  # of one document that takes many checkpoints
QUICK = {
    "TIDESTONE_INGESTION__BATCH_SIZE": "8",
    "TIDESTONE_INGESTION__COMMIT_SECONDS": "1",
    "TIDESTONE_INDEX__MAX_LIVE_SEGMENTS": "8",
}
PATIENCE_SECONDS = 120.0
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


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Real documents of every type, and one that is large."""
    made = tmp_path_factory.mktemp("real") / "library"
    shutil.copytree(SAMPLES, made, ignore=shutil.ignore_patterns("hostile", "almanac"))
    with (SAMPLES / "almanac/tide-gauge-almanac.txt").open() as almanac:
        (made / "almanac.txt").write_text(almanac.read(LARGE_BYTES))
    for path in made.rglob("*"):
        os.utime(path, (1_600_000_000, 1_600_000_000))
    return made


@pytest.fixture(scope="module")
def truth(library: Path, tmp_path_factory: pytest.TempPathFactory) -> Contents:
    """What an uninterrupted run makes of it."""
    run = Run(library, tmp_path_factory.mktemp("truth") / "data")
    run.start()
    assert run.wait() == 0
    return run.contents()


@pytest.fixture
def run(library: Path, tmp_path: Path) -> Iterator[Run]:
    made = Run(library, tmp_path / "data")
    yield made
    if made.running:
        assert made.process is not None
        made.process.kill()
        made.process.wait()


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


def kill_the_command(run: Run, chance: random.Random, times: int) -> int:
    """Kill, and give the command again, with commits in between; how often it did not come too late."""
    kills = 0
    for number in range(times):
        pid = run.start()
        if number:
            wait_for_commits(run, chance.randint(1, 2))
        time.sleep(chance.uniform(0, 1.5))
        children = descendants(pid)
        kills += run.running
        kill(pid)
        run.wait()
        wait_until(lambda: all(gone(child) for child in children), 10)  # noqa: B023 - called at once
    return kills


def test_the_command_is_killed_and_given_again(run: Run, truth: Contents, chance: random.Random) -> None:
    assert kill_the_command(run, chance, 2) > 0
    run.start()
    assert run.wait() == 0
    check_equal(run.contents(), truth)


def test_embedder_and_parser_children_are_killed(run: Run, truth: Contents, chance: random.Random) -> None:
    pid = run.start()
    killed: list[str] = []
    seen = 0  # the generation at the last kill: what was in hand then is in before the next, so that no text is blamed
    while run.running and len(killed) < 3:
        kind = ("embedders", "parsers", "embedders")[len(killed)]  # a second parser might take the blame
        mine = [child for child, line in descendants(pid).items() if f"service.{kind}" in line]
        if mine and (generation := run.generation) > seen:
            kill(chance.choice(mine))
            killed.append(kind)
            seen = generation + 1
            time.sleep(chance.uniform(0, 1))
    assert len(killed) == 3
    assert run.wait() == 0
    check_equal(run.contents(), truth)


def test_the_whole_service_and_its_worker_are_killed(
    run: Run, truth: Contents, chance: random.Random
) -> None:
    with suppress(httpx.TransportError), serving(run.data, **QUICK) as service:
        job_id = service.start(run.library)
        run.process = service.process
        wait_for_commits(run, 1)
        time.sleep(chance.uniform(0, 1))
        worker = next(child for child, line in descendants(service.process.pid).items() if "worker" in line)
        kill(worker)  # the service starts another, which goes on by itself
        wait_for_commits(run, 1)
        time.sleep(chance.uniform(0, 1))
        tree = [service.process.pid, *descendants(service.process.pid)]
        chance.shuffle(tree)
        for pid in tree:
            kill(pid)
        service.process.wait()
        wait_until(lambda: all(gone(pid) for pid in tree), 10)
    with serving(run.data, **QUICK) as service:
        job = service.wait(job_id, lambda job: job["state"] != "running")
        if job["can"]["resume"]:
            assert job["state"] == "interrupted"
            service.ask(job_id, "resume")
        assert service.finish(job_id)["state"] == "succeeded"
    check_equal(run.contents(), truth)


@pytest.mark.soak
@pytest.mark.timeout(1200)
def test_the_command_is_killed_many_times(run: Run, truth: Contents, chance: random.Random) -> None:
    assert kill_the_command(run, chance, 12) > 3
    run.start()
    while run.wait() == 3:  # a document that was in hand too often is under suspicion: try it again
        report = json.loads((run.data.parent / "ingest.json").read_text())
        command = [sys.executable, "-m", "service", "retry", report["job"]["id"]]
        subprocess.run(command, cwd=ROOT, env=environment(run.data, **QUICK), check=True)
        run.start()
    check_equal(run.contents(), truth)
