"""A plan says what the job then does, and changes nothing."""

import json
from typing import Any

import pytest

from service.engine import planning
from service.errors import Refused
from service.maintenance import departures
from tests.engine.stories import dump
from tests.engine.world import World

CHANGED = 1_700_000_000


def fill(world: World) -> None:
    for n in range(12):
        world.write(f"d{n % 3}/{n}.txt", f"document number {n}\n\nits second part {n}")
    world.write("bad.txt", "DAMAGED goods")
    lines = [{"id": str(n), "text": f"record {n} says so"} for n in range(6)]
    world.write("log.jsonl", "\n".join(map(json.dumps, lines)))
    world.run()


def change(world: World) -> None:
    world.write("d0/0.txt", "document number 0, changed", mtime=CHANGED)
    world.write("new.txt", "one more document")
    (world.library / "log.jsonl").unlink()
    world.tend(departures.withdraw(world.orders, "docs", {"key": "library/d1/1.txt"}))


def plan(world: World, **changes: Any) -> dict[str, Any]:
    return world.planner.plan(world.order(**changes))


@pytest.mark.parametrize("mode", ["incremental", "fresh"])
def test_the_job_then_does_what_was_planned(world: World, monkeypatch: pytest.MonkeyPatch, mode: str) -> None:
    monkeypatch.setattr(planning, "_AT_ONCE", 2)
    fill(world)
    change(world)
    before = dump(world)
    planned = plan(world, mode=mode)
    assert dump(world) == before
    assert planned["add"] == {"files": 1, "paths": ["new.txt"]}
    assert planned["update"]["files"] == (13 - 1 if mode == "fresh" else 1)
    assert planned["remove"]["paths"] == ["log.jsonl"]
    assert (planned["remove"]["documents"], planned["remove"]["withheld"]) == (6, True)
    job = world.run(mode=mode)
    progress = job["progress"]
    assert job["deletes_withheld"] == {"count": 6, "digest": planned["remove"]["digest"]}
    assert progress["discovered"] == planned["discovered"]
    assert progress["unchanged"] == planned["unchanged"]
    failed = int(mode == "fresh")
    assert progress["done"] + failed == planned["add"]["files"] + planned["update"]["files"]
    assert progress["known_failed"] == planned["known_failed"]
    confirmed = plan(world, mode=mode, deletes="confirmed", deletes_digest=planned["remove"]["digest"])
    assert not confirmed["remove"]["withheld"]


def test_where_nothing_is_known_everything_is_to_be_added(world: World) -> None:
    size = len(world.write("a.txt", "a first document").read_bytes())
    planned = plan(world, collection="another")
    assert planned["add"] == {"files": 1, "paths": ["a.txt"]}
    assert (planned["bytes"], planned["estimate_seconds"]) == (size, None)
    assert planned["remove"]["files"] == planned["update"]["files"] == 0


def test_time_is_estimated_from_what_jobs_have_taken(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(world)
    monkeypatch.setattr(planning, "_LEAST_SECONDS", 0.0)
    world.write("new.txt", "one more document")
    estimate = plan(world)["estimate_seconds"]
    assert estimate is not None
    assert estimate >= 0.0


def test_a_folder_that_cannot_be_listed_is_refused(world: World) -> None:
    with pytest.raises(Refused):
        plan(world, path=world.library / "nowhere")
