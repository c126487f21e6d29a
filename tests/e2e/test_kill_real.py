"""kill -9 of every kind of process at random moments, on real text with the real model: the result is the same."""

import json
import random
import subprocess
import sys
import time
from contextlib import suppress

import httpx
import pytest

from tests.e2e.real import (
    QUICK,
    Contents,
    Run,
    check_equal,
    descendants,
    gone,
    kill,
    wait_for_commits,
    wait_until,
)
from tests.e2e.serving import ROOT, environment, serving


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
