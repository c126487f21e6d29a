"""The commands that compare, keep and bring back generations, and collect garbage, on a world's own data."""

import json
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from service.cli import app
from service.errors import BadRequest, Conflict
from tests.engine.world import OLD, World

Command = Callable[..., Result]


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """Generation 1 has a; generation 2 another a, and b."""
    made = World(tmp_path)
    made.write("a.txt", "alpha one\n\nalpha two")
    made.run()
    made.write("a.txt", "alpha one\n\nalpha three", OLD + 100)
    made.write("b.txt", "beta one\n\nbeta two")
    made.run()
    yield made
    made.ledger.close()


@pytest.fixture
def command(world: World, monkeypatch: pytest.MonkeyPatch) -> Iterator[Command]:
    monkeypatch.setenv("TIDESTONE_SERVICE__DATA_DIR", str(world.settings.data_dir))
    handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    yield lambda *words: CliRunner().invoke(app, [*map(str, words), "-c", "docs"])
    for number, handler in handlers.items():  # a command has its own
        signal.signal(number, handler)


def told(result: Result) -> dict[str, Any]:
    value: dict[str, Any] = json.loads(result.stdout)
    return value


def test_two_generations_are_compared(command: Command) -> None:
    found = told(command("diff", 1, "--json"))
    assert {each["key"]: each["change"] for each in found["documents"]} == {
        "library/a.txt": "changed",
        "library/b.txt": "added",
    }
    words = command("diff", 2, 1).stdout
    assert "from generation 2 to 1: 0 added, 1 changed, 1 removed" in words
    assert "library/b.txt" in words


def test_a_rollback_is_previewed_and_done(command: Command, world: World) -> None:
    previewed = command("rollback", 1, "--preview")
    assert previewed.exit_code == 0, previewed.output
    assert "1 changed, 1 removed" in previewed.stdout
    done = command("rollback", 1, "--json")
    assert done.exit_code == 0, done.output
    assert told(done)["result"]["generation"] == 3
    assert {text for _, _, text in world.contents()} == {"alpha one", "alpha two"}
    assert "rollback" in command("rollback", 1).stdout


def test_what_is_refused_is_foretold(command: Command, world: World) -> None:
    world.write("c.txt", "gamma one\n\ngamma two")
    job = world.jobs.create(world.order(start_paused=True))
    with world.ledger.write() as c:
        c.exec_driver_sql(f"UPDATE checkpoints SET job_id = '{job['id']}' WHERE generation = 2")
    foretold = command("rollback", 1, "--preview")
    assert (foretold.exit_code, f"Job {job['id']} is paused" in foretold.output) == (1, True)
    assert isinstance(command("rollback", 1).exception, Conflict)
    assert command("rollback", 1, "--job", job["id"]).exit_code == 0
    assert isinstance(command("rollback", "--", -1).exception, BadRequest)


def test_a_generation_is_pinned_and_garbage_collected(command: Command) -> None:
    assert told(command("pin", 1, "--json"))["pinned"] is True
    assert told(command("unpin", 1, "--json"))["pinned"] is False
    assert "pinned" in command("pin", 1).stdout
    done = command("collect", "--json")
    assert done.exit_code == 0, done.output
    assert told(done)["result"]["files_removed"] == 0
