"""A file turns from many records to text and back: nothing of either is lost, doubled, or left behind."""

import json
import random
import time
from typing import Any

import pytest

from service.core import guard, pace
from service.core.job import Verb
from service.engine import commit, known, known_file, listing, merge, publish
from service.engine.lease import Observer
from service.engine.sweep import sweep
from service.selftest.lagging_embedder import LaggingEmbedder
from service.sources import library
from tests.engine.holding import Died, newest
from tests.engine.sniffing import SniffingPreparer
from tests.engine.world import OLD, World

pytestmark = pytest.mark.usefixtures("quick")

REACHING = (commit, publish, merge)  # the modules whose points are passed in a commit


@pytest.fixture(autouse=True)
def few(monkeypatch: pytest.MonkeyPatch, world: World) -> None:
    """What is many begins early."""
    monkeypatch.setattr(pace, "MOST_CHANGES", 4)
    monkeypatch.setattr(known_file, "_FEW_RECORDS", 3)
    monkeypatch.setattr(known, "_LARGE_FILES", 3)
    monkeypatch.setattr(known, "_NAMES_AT_ONCE", 2)
    monkeypatch.setattr(library, "_PART_FILES", 2)
    monkeypatch.setattr(library, "_PULSE_EVERY", 1)
    monkeypatch.setattr(listing, "_FLUSH_ITEMS", 2)
    world.preparer = SniffingPreparer()


def records(count: int) -> str:
    return "\n".join(json.dumps({"id": f"r{n:03}", "text": f"record number {n}"}) for n in range(count))


def expected(world: World) -> set[tuple[str, int, str]]:
    """What the files say, whatever they are called."""
    found = set()
    for path in (path for path in world.library.rglob("*") if path.is_file()):
        text, key = path.read_text(), f"library/{path.relative_to(world.library)}"
        if text.startswith("{"):
            said = [json.loads(line) for line in text.splitlines()]
            found |= {
                (f"{key}#{r['id']}", n, part) for r in said for n, part in enumerate(r["text"].split("\n\n"))
            }
        else:
            found |= {(key, n, part) for n, part in enumerate(text.split("\n\n"))}
    return found


def everything_is_right(world: World) -> None:
    assert world.contents() == expected(world)
    assert world.verify()["valid"], world.verify()
    again = world.run()["progress"]
    assert (again["deleted"], again["chunks"]) == (0, 0), again


def at_point(monkeypatch: pytest.MonkeyPatch, passing: int, act: Any) -> None:
    """`act` when a commit's points are passed for the so many-th time."""
    passed = [0]

    def reach(_: str) -> None:
        passed[0] += 1
        if passed[0] == passing:
            act()

    for module in REACHING:
        monkeypatch.setattr(module, "reach", reach)


def die() -> None:
    raise Died


def confirmed(world: World) -> Any:
    """An order that lets the guard pass what it withholds."""
    withheld = world.run()["deletes_withheld"]
    assert withheld["count"] > 0
    return world.order(deletes="confirmed", deletes_digest=withheld["digest"])


def test_a_large_text_that_replaces_many_records_is_whole(world: World) -> None:
    """It is committed in parts, and segments are merged, while the records are not retired yet."""
    world.configure(batch_size=3, segment_rows=16, max_live_segments=4)
    world.write("data.json", records(60))
    world.run()
    world.embedder = LaggingEmbedder(0.002)
    world.write("data.json", "\n\n".join(f"paragraph {n} of many" for n in range(200)), OLD + 100)
    order = confirmed(world)
    world.jobs.create(order)
    assert world.worker().take_one()
    assert newest(world)["state"] == "succeeded"
    everything_is_right(world)


@pytest.mark.parametrize("passing", range(1, 40, 5))
def test_a_death_while_records_give_way_to_a_text_leaves_none_of_them(
    world: World, monkeypatch: pytest.MonkeyPatch, passing: int
) -> None:
    world.configure(batch_size=5)
    world.write("data.json", records(25))
    world.run()
    world.write("data.json", "now it is plain text\n\nall of it", OLD + 100)
    job = world.jobs.create(confirmed(world))
    with monkeypatch.context() as patched:
        at_point(patched, passing, die)
        with pytest.raises(Died):
            world.worker().take_one()
    assert sweep(world.ledger, Observer(0), world.settings) == 1
    assert world.resume(job["id"])["state"] == "succeeded"
    everything_is_right(world)


def test_a_pause_while_records_give_way_to_a_text_leaves_none_of_them(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.write("data.json", records(25))
    world.run()
    world.write("data.json", "now it is plain text, all of it", OLD + 100)
    job = world.jobs.create(confirmed(world))

    def pause() -> None:
        world.jobs.ask(job["id"], Verb.PAUSE)
        time.sleep(0.1)

    with monkeypatch.context() as patched:
        at_point(patched, 9, pause)
        assert world.worker().take_one()
    assert newest(world)["state"] == "paused"
    assert world.resume(job["id"])["state"] == "succeeded"
    everything_is_right(world)


def test_records_stay_until_the_text_that_replaces_them_is_embedded(world: World) -> None:
    world.write("data.json", records(25))
    world.run()
    before = world.contents()
    world.write("data.json", "some text\n\n" + "word " * 600, OLD + 100)
    world.jobs.create(confirmed(world))
    assert world.worker().take_one()
    assert newest(world)["progress"]["failed"] == 1
    assert world.contents() == before, "what was readable went for a text that is too long"


SHORT, LONG = range(5), range(5, 200)


@pytest.mark.parametrize("seed", [*SHORT, *(pytest.param(seed, marks=pytest.mark.soak) for seed in LONG)])
def test_whatever_happens_to_files_jobs_and_workers_the_truth_comes_out(
    seed: int, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    chance = random.Random(seed)
    world.configure(
        batch_size=chance.choice([1, 2, 3, 50]),
        segment_rows=chance.choice([3, 8, 4096]),
        max_live_segments=chance.choice([3, 64]),
        parse_workers=chance.choice([1, 2]),
    )
    for turn in range(5):
        change_files(world, chance, 100 * turn)
        folder = chance.choice(["", "", "", "a"])
        job = world.jobs.create(world.order(folder=folder if (world.library / folder).is_dir() else ""))
        for _ in range(chance.randrange(4)):
            disturb(world, job["id"], chance, monkeypatch)
            if chance.random() < 0.5:
                change_files(world, chance, 100 * turn + 50)
        while world.worker(dead_seconds=0).take_one():
            pass
        job = world.jobs.get(job["id"])
        assert job["state"] in ("succeeded", "completed_with_errors"), job
        if job["last_checkpoint"] is not None:
            world.contents()  # each chunk once
            assert world.verify()["valid"], world.verify()
    monkeypatch.setattr(guard, "MOST_DELETED", 1.0)
    last = world.run()
    assert last["state"] == "succeeded", last
    everything_is_right(world)


def change_files(world: World, chance: random.Random, later: int) -> None:
    for number in range(chance.randrange(1, 8)):
        name = f"{chance.choice(['', 'a/', 'a/b/', 'A/'])}{chance.randrange(6)}.x"
        if chance.random() < 0.15:
            (world.library / name).unlink(missing_ok=True)
        else:
            world.write(name, any_text(chance), OLD + later + number)


def any_text(chance: random.Random) -> str:
    if chance.random() < 0.5:
        return "\n\n".join(
            f"{chance.randrange(4)} paragraph {n} of text" for n in range(chance.randrange(1, 30))
        )
    lines = []
    for n in chance.sample(range(25), chance.randrange(1, 15)):
        parts = (f"{chance.randrange(4)} part {part} of record {n}" for part in range(chance.randrange(1, 6)))
        lines.append(json.dumps({"id": str(n), "text": "\n\n".join(parts)}))
    return "\n".join(lines)


def disturb(world: World, job_id: str, chance: random.Random, monkeypatch: pytest.MonkeyPatch) -> None:
    """Kill or pause the job at some point of some commit, and resume it."""

    def pause() -> None:
        if world.jobs.get(job_id)["can"]["pause"]:
            world.jobs.ask(job_id, Verb.PAUSE)
            time.sleep(0.03)

    with monkeypatch.context() as patched:
        at_point(patched, chance.randrange(1, 25), chance.choice([die, pause]))
        try:
            world.worker(dead_seconds=0).take_one()
        except Died:
            sweep(world.ledger, Observer(0), world.settings)
    if world.jobs.get(job_id)["can"]["resume"]:
        world.jobs.ask(job_id, Verb.RESUME)
