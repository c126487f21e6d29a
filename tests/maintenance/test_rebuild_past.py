"""A ledger that is made anew knows the earlier generations too, wherever their files are still there."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from service.core.upkeep import Kind
from service.index.commit_record import CommitRecord, Parent, encode, read_chain
from service.index.files import hash_file
from service.ledger import collections, retained, segments, spaces, spans
from service.ledger.database import AnyRow
from service.maintenance.generations import Turn
from service.maintenance.rebuild import rebuild
from service.maintenance.reindex_order import Reindexing
from service.selftest.fake_embedder import FAKE_SPACE, OTHER_SPACE, FakeEmbedder
from tests.engine.world import World
from tests.maintenance.test_rebuild import (
    STORIES,
    again,
    change,
    compact,
    fill,
    known,
    lose,
    purge,
    take_out,
    vectors,
)
from tests.maintenance.test_repair import spoil

Told = dict[int, tuple[set[int], list[tuple[Any, ...]], str]]


def embed_anew(world: World) -> None:
    """In another space; the old one stays on the disk."""
    world.embedder = FakeEmbedder(OTHER_SPACE)
    Reindexing(world.jobs).create("docs")
    assert world.worker().take_one()


def collect(world: World, jobs: int = 1) -> None:
    """Twice: what is unneeded at the first is removed by the second."""
    world.configure(retain_jobs=jobs, retain_days=0.0, retain_checkpoints=1, gc_grace_seconds=0.0)
    for _ in range(2):
        world.tend(world.orders.place("docs", Kind.COLLECT))


PASTS: dict[str, list[Callable[[World], None]]] = {
    **STORIES,
    "in another space": [fill, change, embed_anew, take_out],
    "collected": [fill, change, compact, collect, take_out],
}


def row(world: World) -> AnyRow:
    with world.ledger.read() as c:
        return collections.by_name(c, "docs")


def past(world: World) -> Told:
    """Of every generation that is kept: visible versions, segments with their live files, space."""
    told = {}
    with world.ledger.read() as c:
        mine = collections.by_name(c, "docs")
        for g in range(1, mine.generation + 1):
            if retained.is_kept(c, mine, g):
                live = segments.live_at(c, mine.id, g)
                files = [(s.segment_id, s.faiss, s.chunks, s.codes, s.live, s.live_rows) for s in live]
                space = spaces.at(c, mine.id, g).space
                told[g] = (spans.visible_at(c, mine.id, g), sorted(files, key=str), space["model"])
    return told


@pytest.fixture
def rebuilt(world: World) -> Iterator[Callable[..., World]]:
    """Loses the ledger, makes it anew, and has the collection hashed, if it is to be."""
    made: list[World] = []

    def now(hashed: bool = True) -> World:
        rebuild(lose(world))
        made.append(again(world) if hashed else World(world.folder))
        return made[-1]

    yield now
    for each in made:
        each.ledger.close()


@pytest.mark.parametrize("story", PASTS)
def test_every_generation_is_what_it_was(world: World, rebuilt: Callable[..., World], story: str) -> None:
    for part in PASTS[story]:
        part(world)
    before = past(world)
    assert len(before) > 2
    after = past(rebuilt())
    assert {generation: after.get(generation) for generation in before} == before
    assert story == "collected" or after.keys() == before.keys()


@pytest.mark.parametrize("story", ["changes", "rolled back", "purged", "in another space"])
def test_a_rollback_leads_to_what_was_there(world: World, rebuilt: Callable[..., World], story: str) -> None:
    seen: dict[int, Any] = {}
    for part in PASTS[story]:
        part(world)
        seen[row(world).generation] = vectors(world)
    new = rebuilt()
    for generation, rows in seen.items():
        kept = {place: v for place, v in rows.items() if story != "purged" or place[0] != "library/06.txt"}
        options = Turn(generation, revive_deleted=True).options
        done = new.tend(new.orders.place("docs", Kind.ROLLBACK, options))
        assert done["state"] == "done", done
        assert vectors(new) == kept
        assert new.verify()["valid"], new.verify()
    assert new.embedder.texts == []


def test_a_job_after_such_a_rollback_does_only_what_was_undone(
    world: World, rebuilt: Callable[..., World]
) -> None:
    fill(world)
    first = row(world).generation
    change(world)
    rows = vectors(world)
    new = rebuilt()
    assert new.tend(new.orders.place("docs", Kind.ROLLBACK, Turn(first).options))["state"] == "done"
    new.run()
    assert vectors(new) == rows
    assert new.verify()["valid"], new.verify()


@pytest.mark.parametrize("harm", [spoil, Path.unlink])
def test_a_generation_of_which_a_file_is_gone_is_not_offered(
    world: World, rebuilt: Callable[..., World], harm: Callable[[Path], None]
) -> None:
    for part in (fill, change, compact):
        part(world)
    before, rows = past(world), vectors(world)
    present = {file["name"] for _, *files in before[max(before)][1] for file in files[:2]}
    old = next(s for g in before for s in before[g][1] if s[1]["name"] not in present)
    needing = {g for g, (_, found, _) in before.items() if any(s[0] == old[0] for s in found)}
    harm(world.files / old[1]["name"])
    # That a file is gone is seen at once, that it is damaged when it is read.
    new = rebuilt(hashed=harm is spoil)
    assert past(new).keys() == before.keys() - needing
    assert vectors(new) == rows


def test_what_no_whole_generation_needs_is_garbage_and_nothing_is_put_aside(
    world: World, rebuilt: Callable[..., World]
) -> None:
    for part in (fill, change, compact):
        part(world)
    before = past(world)
    present = {s[0] for s in before[max(before)][1]}
    alone = [s for s in before[1][1] if s[0] not in present]
    (world.files / alone[0][1]["name"]).unlink()
    new = rebuilt()
    assert list((new.files / "quarantine").iterdir()) == []
    assert (new.files / alone[0][2]["name"]).exists()
    collect(new)
    assert not (new.files / alone[0][2]["name"]).exists()
    assert new.verify()["valid"], new.verify()


def test_the_space_before_the_last_switch_is_kept_until_somebody_says_otherwise(
    world: World, rebuilt: Callable[..., World]
) -> None:
    for part in (fill, embed_anew):
        part(world)
    new = rebuilt()
    switched = row(new).generation
    new.embedder = FakeEmbedder(OTHER_SPACE)
    new.write("new.txt", "written after the rebuild")
    new.run()  # so that no rule of retention wants the generation before the switch
    collect(new, jobs=0)
    kept = {generation: space for generation, (*_, space) in past(new).items()}
    assert kept[switched - 1] == FAKE_SPACE.model
    assert switched - 2 not in kept
    assert kept[switched] == OTHER_SPACE.model


def of_former_times(record: CommitRecord, parent: Parent | None) -> CommitRecord:
    """As programs wrote it that did not say sizes of documents, codes, or what a purge did to earlier generations."""
    added = [{k: v for k, v in said.items() if k != "bytes"} for said in record.versions_added]
    opened = [{k: v for k, v in said.items() if k != "codes"} for said in record.segments_opened]
    return replace(record, versions_added=added, segments_opened=opened, redacted=None, parent=parent)


def go_back_in_time(world: World) -> None:
    """Every commit record is written as it would have been; the chain holds."""
    parent = None
    for record in read_chain(world.files).records:
        path = world.files / record.name
        path.write_bytes(encode(of_former_times(record, parent)))
        parent = Parent(record.generation, record.name, hash_file(path)[0])


def test_records_of_former_times_are_read_as_well(world: World, rebuilt: Callable[..., World]) -> None:
    for part in (fill, change, compact):
        part(world)
    before, documents, rows = past(world), known(world), vectors(world)
    assert any(document["bytes"] for document in documents)
    go_back_in_time(world)
    new = rebuilt()
    assert past(new) == before
    assert known(new) == documents
    assert vectors(new) == rows


def test_a_purge_of_former_times_makes_earlier_generations_doubtful(
    world: World, rebuilt: Callable[..., World]
) -> None:
    """Nobody has written down which of their rows were to stay dead."""
    for part in (fill, change, purge):
        part(world)
    before, rows = past(world), vectors(world)
    go_back_in_time(world)
    new = rebuilt()
    after = past(new)
    assert after == {generation: before[generation] for generation in after}
    assert 0 < len(after) < len(before)
    assert vectors(new) == rows
    assert new.verify()["valid"], new.verify()


def test_a_record_keeps_its_bytes_when_it_is_written_again(world: World) -> None:
    fill(world)
    go_back_in_time(world)
    for record in read_chain(world.files).records:
        assert encode(record) == (world.files / record.name).read_bytes()
        assert b'"redacted"' not in encode(record)
