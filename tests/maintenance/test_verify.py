"""Verify tells of files that nothing names, and of damage to what a rollback would need; repair deals with both."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from service.core.upkeep import Kind
from service.engine.lease import Lease, Observer, Wanted
from service.index.files import verify as hash_file
from service.ledger import collections, garbage, segments
from service.maintenance import verify
from service.maintenance.departures import withdraw
from service.maintenance.generations import Turn
from tests.engine.world import OLD, World
from tests.maintenance.test_repair import everything, is_whole, ordered, spoil

LONG_AGO = 1_500_000_000.0


@pytest.fixture
def changed(world: World) -> World:
    """Six generations, all of them kept; the newest does not need the first segment any more."""
    for batch in (range(3), range(3, 12)):
        for n in batch:
            world.write(f"{n:02}.txt", f"document {n} says this\n\nand its second part {n}")
        world.run()
    for n in (0, 1, 2, 4):
        world.write(f"{n:02}.txt", f"document {n} says that\n\nand its second part {n}", OLD + 100)
    world.run()
    assert generation(world) == 6
    world.embedder.texts.clear()
    return world


def generation(world: World) -> int:
    with world.ledger.read() as c:
        return int(collections.by_name(c, "docs").generation)


def past(world: World) -> list[Any]:
    with world.ledger.read() as c:
        return list(segments.past(c, collections.by_name(c, "docs").id))


def only_past(world: World, kind: str) -> dict[str, Any]:
    """A file of this kind that the newest generation does not need."""
    with world.ledger.read() as c:
        live = [verify.files_of(row) for row in segments.live(c, collections.by_name(c, "docs").id)]
    needed = {file.name for files in live for file in files}
    found = [getattr(span, kind) for span in past(world)]
    return next(file for file in found if file and file["name"] not in needed)


def age(*paths: Path) -> None:
    for path in paths:
        os.utime(path, (LONG_AGO, LONG_AGO))


def stranger(world: World, name: str) -> str:
    path = world.files / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(b"of nobody")
    age(path)
    return name


def found(world: World) -> list[tuple[str, str]]:
    return [(problem["kind"], problem["where"]) for problem in world.verify()["problems"]]


def back_to(world: World, turn: int) -> dict[str, Any]:
    return world.tend(world.orders.place("docs", Kind.ROLLBACK, Turn(turn).options))


def test_files_that_nothing_names_are_told_and_cleared_away(changed: World) -> None:
    before = changed.contents()
    names = [
        "notes.txt",
        "commits/00000099-t1.json",
        "scratch/0123.faiss",
        "segments/00000099-t1.faiss",
        "segments/stranger",
    ]
    for name in names:
        stranger(changed, name)
    assert found(changed) == [("orphan", name) for name in sorted(names)]
    assert "tidestone repair" in changed.verify()["problems"][0]["message"]
    told = ordered(changed)
    assert set(told["files_put_aside"]) == {Path(n).name for n in names if not n.startswith("scratch")}
    assert not (changed.files / "scratch/0123.faiss").exists()
    assert changed.contents() == before
    is_whole(changed)


def test_what_was_written_lately_is_somebodys_work(changed: World) -> None:
    name = stranger(changed, "segments/00000099-t1.faiss")
    (changed.files / name).touch()
    assert found(changed) == []


def test_what_bears_the_holders_token_is_in_its_hands_whatever_its_age(changed: World) -> None:
    with changed.ledger.read() as c:
        wanted = Wanted(collections.by_name(c, "docs").id)
    held = Lease.take(changed.ledger, Observer(), wanted, changed.files, "somebody")
    assert held is not None
    mine = stranger(changed, f"segments/00000099-t{held.token}.faiss")
    mended = stranger(changed, f"commits/00000001-t1.json.t{held.token}.tmp")
    fenced = stranger(changed, f"segments/00000098-t{held.token - 1}.faiss")
    assert found(changed) == [("orphan", fenced)]
    held.release()
    assert found(changed) == [("orphan", name) for name in sorted((mended, fenced, mine))]


def test_nothing_that_the_ledger_names_is_an_orphan_however_old(changed: World) -> None:
    changed.configure(retain_jobs=0, retain_days=0.0, retain_checkpoints=1, merged_rows=24)
    changed.tend(changed.orders.place("docs", Kind.COLLECT))
    with changed.ledger.read() as c:
        row = collections.by_name(c, "docs")
        waiting = [each.file for each in garbage.listing(c, row.id)]
    assert waiting, "and wait for their removal"
    assert changed.merger.merge_one(row, changed.stop) is not None
    assert list((changed.files / "scratch").glob("*.faiss")), "and a merge waits to be taken in"
    age(*(path for path in changed.files.rglob("*") if path.is_file()))
    assert found(changed) == []


@pytest.mark.parametrize("harm", [spoil, Path.unlink])
@pytest.mark.parametrize("kind", ["faiss", "chunks"])
def test_damage_to_an_older_generation_is_told_and_given_up(
    changed: World, kind: str, harm: Callable[[Path], None]
) -> None:
    before, file = changed.contents(), only_past(changed, kind)
    spans = [span for span in past(changed) if getattr(span, kind) == file]
    harm(changed.files / file["name"])
    assert found(changed) == [("missing" if harm is Path.unlink else "damaged", file["name"])]
    assert "cannot be gone back to" in changed.verify()["problems"][0]["message"]
    told = ordered(changed)
    ended = sum(span.to_generation - span.from_generation for span in spans)
    assert (told["segments_taken_out"], told["generations_given_up"]) == ([], ended)
    is_whole(changed)
    assert changed.contents() == before
    assert ordered(changed)["generations_given_up"] == 0
    lost = back_to(changed, spans[0].from_generation)
    assert (lost["state"], lost["error"]["code"]) == ("failed", "conflict")
    assert "not kept any more" in lost["error"]["message"]
    assert back_to(changed, 0)["state"] == "done", "which needs nothing"
    assert changed.contents() == set()


def test_other_generations_can_still_be_gone_back_to(changed: World) -> None:
    first = only_past(changed, "faiss")
    span = next(span for span in past(changed) if span.faiss == first)
    changed.write("00.txt", "document 0 says something else by now", OLD + 200)
    after = changed.contents()
    changed.run()
    spoil(changed.files / first["name"])
    ordered(changed)
    assert back_to(changed, span.to_generation - 1)["state"] == "failed"
    assert back_to(changed, 6)["state"] == "done"
    assert changed.contents() == after
    assert changed.verify()["valid"], changed.verify()


@pytest.mark.parametrize("harm", [spoil, Path.unlink])
def test_which_rows_were_alive_follows_from_the_ledger(changed: World, harm: Callable[[Path], None]) -> None:
    after = changed.contents()
    changed.write("05.txt", "document 5 says that\n\nand its second part 5", OLD + 100)
    changed.run()
    path = changed.files / only_past(changed, "live")["name"]
    whole = path.read_bytes()
    harm(path)
    assert [where for _, where in found(changed)] == [f"segments/{path.name}"]
    told = ordered(changed)
    assert path.read_bytes() == whole
    assert (told["files_rewritten"], told["generations_given_up"]) == ([f"segments/{path.name}"], 0)
    is_whole(changed)
    assert back_to(changed, 6)["state"] == "done"
    assert changed.contents() == after


def test_a_job_that_takes_a_segment_out_gives_up_what_cannot_be_without_it(changed: World) -> None:
    with changed.ledger.read() as c:
        oldest = segments.live(c, collections.by_name(c, "docs").id)[0]
    spoil(changed.files / oldest.faiss["name"])
    assert changed.run()["state"] == "succeeded"
    is_whole(changed)
    assert back_to(changed, oldest.from_generation)["state"] == "failed"


def test_what_a_purge_removes_meanwhile_is_neither_missing_nor_an_orphan(
    changed: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the first hash and the others the files of all segments that hold a document are exchanged."""
    tasks = [lambda: withdraw(changed.orders, "docs", {"key": "library/07.txt"}, purge=True)]

    def purge_first(root: Path, stored: Any) -> Path:
        if tasks:
            assert changed.tend(tasks.pop()())["state"] == "done"
        return hash_file(root, stored)

    monkeypatch.setattr(verify, "verify", purge_first)
    assert found(changed) == []
    assert tasks == []


def test_files_of_a_purge_that_goes_on_have_just_lost_their_names(changed: World) -> None:
    stranger(changed, "segments/00000001-t0.faiss")
    withdraw(changed.orders, "docs", {"key": "library/07.txt"}, purge=True)
    assert found(changed) == []


def test_looking_changes_nothing(changed: World) -> None:
    stranger(changed, "notes.txt")
    spoil(changed.files / only_past(changed, "faiss")["name"])
    before = everything(changed.files)
    assert len(found(changed)) == 2
    assert everything(changed.files) == before
