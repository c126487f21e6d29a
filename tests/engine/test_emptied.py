"""Files that are still there and have nothing in them any more count for the guard as if they were gone."""

import json
from typing import Any

import pytest

from tests.engine.world import World

CHANGED = 1_700_000_000


@pytest.fixture
def filled(world: World) -> World:
    for n in range(10):
        world.write(f"{n}.txt", f"document number {n}\n\nits second part {n}")
    lines = [{"id": str(n), "text": f"record {n} says so"} for n in range(5)]
    world.write("log.jsonl", "\n".join(map(json.dumps, lines)))
    world.write("empty.txt", "")
    world.run()
    return world


def empty(world: World, *names: str) -> set[tuple[str, int, str]]:
    """Empties files; what was in before."""
    before = world.contents()
    for name in names:
        world.write(name, "", mtime=CHANGED)
    return before


def test_many_emptied_files_are_kept_until_their_digest_is_confirmed(filled: World) -> None:
    before = empty(filled, "0.txt", "1.txt", "log.jsonl", "empty.txt")
    planned = filled.planner.plan(filled.order())["remove"]
    job = filled.run()
    assert (job["state"], job["deletes_withheld"]["count"]) == ("completed_with_errors", 7)
    assert filled.contents() == before
    assert job["progress"]["settled"] == job["progress"]["total"]
    assert (planned["documents"], planned["withheld"]) == (7, True)
    assert planned["digest"] == job["deletes_withheld"]["digest"]
    again: dict[str, Any] = filled.run()
    assert again["deletes_withheld"] == job["deletes_withheld"]
    done = filled.run(deletes="confirmed", deletes_digest=planned["digest"])
    assert done["state"] == "succeeded"
    assert filled.contents() == filled.expected() != before
    assert filled.verify()["valid"]


def test_they_count_together_with_what_is_gone(filled: World) -> None:
    before = empty(filled, "0.txt", "1.txt")
    for n in (2, 3):
        (filled.library / f"{n}.txt").unlink()
    assert filled.run()["deletes_withheld"]["count"] == 4
    assert filled.contents() == before


def test_few_are_taken_at_their_word(filled: World) -> None:
    empty(filled, "0.txt", "1.txt")
    assert filled.run()["state"] == "succeeded"
    assert filled.contents() == filled.expected()


def test_what_was_empty_before_takes_nothing_away(filled: World) -> None:
    for n in range(9):
        filled.write(f"new{n}.txt", "")
    filled.run()
    assert filled.run(mode="fresh")["deletes_withheld"] is None
