"""Every file is read again within a week, the oldest reading first, at a bounded rate; rot is found and mended."""

import os
import resource
from pathlib import Path
from threading import Event, Thread

import pytest

from service.core.upkeep import Kind
from service.errors import TryAgain
from service.ledger import collections, segments
from service.maintenance import departures, scrubber
from service.maintenance.scrubber import Scrubber
from tests.engine.world import World

IN_THE_FUTURE = "2101-01-01T00:00:00.000000+00:00"  # when a clock was wrong
LONG_AGO = "2001-01-01T00:00:00.000000+00:00"


@pytest.fixture
def filled(world: World) -> World:
    world.configure(batch_size=2)
    for n in range(6):
        world.write(f"{n}.txt", f"document {n} says this\n\nand its second part {n}")
    world.run()
    (world.library / "3.txt").unlink()
    world.run()
    return world


def made(world: World) -> Scrubber:
    return Scrubber(world.ledger, world.settings, lambda _: None)


def age(world: World, at: str | None = LONG_AGO) -> None:
    """All readings are so old."""
    with world.ledger.write() as c:
        c.exec_driver_sql("UPDATE segments SET verified_at = ?", (at,))


def rows(world: World) -> list[tuple[int, bool, str | None]]:
    with world.ledger.read() as c:
        found = segments.with_files(c, collections.by_name(c, "docs").id)
        return [(row.segment_id, bool(row.suspect), row.verified_at) for row in found]


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def test_what_was_read_lately_is_not_read_again(filled: World) -> None:
    assert not made(filled).scrub_one()


@pytest.mark.parametrize("never", [LONG_AGO, None, IN_THE_FUTURE])
def test_every_segment_has_its_turn_and_is_then_known_to_be_sound(filled: World, never: str | None) -> None:
    age(filled, never)
    scrub = made(filled)
    turns = 0
    while scrub.scrub_one():
        turns += 1
    assert turns == len(rows(filled)) == 3
    assert all(not suspect and at and LONG_AGO < at < IN_THE_FUTURE for _, suspect, at in rows(filled))


@pytest.mark.parametrize("kind", ["faiss", "chunks", "live"])
def test_rot_is_found_told_and_mended_by_a_repair(filled: World, kind: str) -> None:
    before = filled.contents()
    flip(sorted((filled.files / "segments").glob(f"*.{kind}"))[0])
    age(filled)
    scrub = made(filled)
    while scrub.scrub_one():
        pass
    assert sum(suspect for _, suspect, _ in rows(filled)) == 1
    with filled.ledger.read() as c:
        told = c.exec_driver_sql("SELECT data FROM events WHERE type = 'scrub_found_damage'").scalars().all()
    assert len(told) == 1
    assert f".{kind} is damaged" in told[0]
    assert filled.tend(filled.orders.place("docs", Kind.REPAIR))["state"] == "done"
    filled.run()
    assert filled.contents() == before == filled.expected()
    assert filled.verify()["valid"]


def test_a_file_that_is_gone_is_damage_unless_nobody_wants_it_any_more(
    filled: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    age(filled)
    for path in (filled.files / "segments").glob("*.faiss"):
        path.unlink()
    monkeypatch.setattr(
        Scrubber, "_is_wanted", lambda *_: False
    )  # as after a collection of garbage beside this
    assert made(filled).scrub_one()
    assert not any(suspect for _, suspect, _ in rows(filled))
    monkeypatch.undo()
    age(filled)
    assert made(filled).scrub_one()
    assert sum(suspect for _, suspect, _ in rows(filled)) == 1


def test_another_collection_does_not_want_what_is_gone_from_this_one(filled: World) -> None:
    """Names are the same in all collections; this one is deleted, or purged, while its file is read."""
    filled.run(collection="other")
    age(filled)

    def drop(_: float) -> None:
        if filled.files.exists():
            assert filled.tend(departures.drop(filled.orders, "docs"))["state"] == "done"

    with filled.ledger.write() as c:  # so that a file of `docs` is the first
        docs = collections.by_name(c, "docs").id
        c.exec_driver_sql("UPDATE segments SET verified_at = NULL WHERE collection_id = ?", (docs,))
    assert Scrubber(filled.ledger, filled.settings, drop).scrub_one()
    with filled.ledger.read() as c:
        told = c.exec_driver_sql("SELECT count(*) FROM events WHERE type = 'scrub_found_damage'")
        assert told.scalar_one() == 0


def test_a_process_that_can_open_nothing_finds_no_damage(filled: World) -> None:
    age(filled)
    scrub = made(filled)
    with filled.ledger.write():
        pass  # its connection is open
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    free = os.open("/", os.O_RDONLY)  # the lowest number that is free
    os.close(free)
    resource.setrlimit(resource.RLIMIT_NOFILE, (free, hard))
    try:
        with pytest.raises(TryAgain, match="Too many open files"):
            scrub.scrub_one()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert not any(suspect for _, suspect, _ in rows(filled))


def test_reading_takes_the_time_that_it_is_allowed_to_take(filled: World) -> None:
    filled.configure(scrub_bytes_per_second=100)
    age(filled)
    waited: list[float] = []
    assert Scrubber(filled.ledger, filled.settings, waited.append).scrub_one()
    size = min(path.stat().st_size for path in (filled.files / "segments").glob("*.faiss"))
    assert sum(waited) >= size / 100


def test_it_stops_in_the_middle_of_a_file(filled: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scrubber, "LOOK_SECONDS", 0.01)
    filled.configure(scrub_bytes_per_second=1)
    age(filled)
    stop = Event()
    thread = Thread(target=made(filled).run, args=(stop,))
    thread.start()
    stop.set()
    thread.join(30)
    assert not thread.is_alive()
    assert all(at == LONG_AGO for _, _, at in rows(filled))
