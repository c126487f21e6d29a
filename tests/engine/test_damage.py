"""Damage done from outside is named, and only what it held is done again."""

import json
import random
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from service.index.files import hash_file
from service.index.manifest import read_manifest
from service.index.sealed import seal, unseal
from service.ledger import segments
from service.ledger.collections import by_name
from service.ledger.database import AnyRow
from service.selftest.victims import FINISHED, KILLED, Victims
from tests.engine.stories import SETTINGS, Story
from tests.engine.world import OLD, World

KINDS = ["*.faiss", "*.chunks", "*.live", "commits/*.json", "manifest.json", "collection.json"]
_FLIP = """
import sys
with open(sys.argv[1], "r+b") as file:
    file.seek(int(sys.argv[2]))
    byte = file.read(1)[0]
    file.seek(int(sys.argv[2]))
    file.write(bytes([byte ^ int(sys.argv[3])]))
"""


@pytest.fixture
def full(world: World) -> World:
    """Several live segments, one of them with dead rows, and several commits."""
    for n in range(12):
        world.write(f"d{n % 2}/x{n:02}.txt", f"document {n}, part one\n\ndocument {n}, part two")
    world.run()
    world.write("d0/x04.txt", "document 4, part one\n\ndocument 4, part two, changed", OLD + 100)
    world.run()
    world.embedder.texts.clear()
    return world


def flip(path: Path, chance: random.Random) -> None:
    """Change one byte in a process of its own: this one learns nothing of it."""
    position, bits = chance.randrange(path.stat().st_size), chance.randrange(1, 256)
    print(f"{path.name}: byte {position} ^ {bits:#x}")
    subprocess.run([sys.executable, "-c", _FLIP, str(path), str(position), str(bits)], check=True)


def live(world: World) -> list[AnyRow]:
    with world.ledger.read() as c:
        return list(segments.live(c, by_name(c, "docs").id))


def in_use(world: World, kind: str) -> list[Path]:
    """The files of a kind that the newest generation needs."""
    needed = {file["name"] for s in live(world) for file in (s.faiss, s.chunks, s.live) if file}
    found = world.files.rglob(kind) if kind.startswith("*") else world.files.glob(kind)
    return sorted(path for path in found if not kind.startswith("*") or f"segments/{path.name}" in needed)


def texts_in(world: World, path: Path) -> int:
    """How many chunks must be embedded again when this file is lost; those alive in its segment."""
    return sum(
        s.live_rows
        for s in live(world)
        if path.name in (f"{Path(s.faiss['name']).name}", f"{Path(s.chunks['name']).name}")
    )


def aside(world: World) -> list[str]:
    return sorted(path.name for path in (world.files / "quarantine").iterdir())


@pytest.mark.parametrize("kind", KINDS)
def test_a_flipped_byte_is_named_and_only_what_it_held_is_done_again(
    kind: str, full: World, chance: random.Random
) -> None:
    path = chance.choice(in_use(full, kind))
    before, lost = full.contents(), texts_in(full, path)
    flip(path, chance)
    report = full.verify()
    assert not report["valid"]
    assert [problem["where"] for problem in report["problems"]] == [str(path.relative_to(full.files))]
    assert full.run()["state"] == "succeeded"
    assert len(full.embedder.texts) == lost
    assert full.contents() == before == full.expected()
    assert full.verify()["valid"], full.verify()


@pytest.mark.parametrize("kind", ["*.faiss", "*.chunks", "*.live"])
def test_a_missing_file_is_named_and_only_what_it_held_is_done_again(
    kind: str, full: World, chance: random.Random
) -> None:
    path = chance.choice(in_use(full, kind))
    lost = texts_in(full, path)
    path.unlink()
    assert [(p["kind"], p["where"]) for p in full.verify()["problems"]] == [
        ("missing", f"segments/{path.name}")
    ]
    assert full.run()["state"] == "succeeded"
    assert len(full.embedder.texts) == lost
    assert full.contents() == full.expected()
    assert full.verify()["valid"], full.verify()


def test_a_damaged_live_file_costs_no_document(full: World, chance: random.Random) -> None:
    (path,) = in_use(full, "*.live")
    whole = path.read_bytes()
    flip(path, chance)
    full.run()
    assert path.read_bytes() == whole
    assert full.embedder.texts == []
    assert aside(full) == [path.name]


def test_damage_that_a_job_meets_in_its_work_is_repaired_by_the_same_job(
    full: World, chance: random.Random, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.engine.recover.FRESHLY_HASHED_BYTES", 0)  # as if there were gigabytes
    flip(chance.choice(in_use(full, "*.chunks")), chance)
    for n in range(12):
        full.write(f"d{n % 2}/x{n:02}.txt", f"document {n}, part one\n\ndocument {n}, part 2", OLD + 200)
    job = full.run()
    assert (job["state"], job["reason"]["code"]) == ("queued", "damaged")
    assert full.worker().take_one()
    assert full.jobs.get(job["id"])["state"] == "succeeded"
    assert full.contents() == full.expected()
    assert full.verify()["valid"], full.verify()


@pytest.mark.parametrize("point", ["reserve.before", "commit.absent", "ledger.before", "ledger.after"])
def test_a_crash_while_damage_is_repaired_doubles_nothing(
    point: str, victims: Victims, later: Story, folder: Path, chance: random.Random
) -> None:
    copy = later.copy(folder)
    assert victims.run(copy, "publish.after=kill@3", **SETTINGS) == KILLED
    world = World(copy)
    whole = [path for path in in_use(world, "*.faiss") if texts_in(world, path)]
    flip(chance.choice(whole), chance)
    assert victims.run(copy, f"{point}=kill", **SETTINGS) == KILLED
    assert victims.run(copy, **SETTINGS) == FINISHED
    assert world.contents() == world.expected()
    assert world.verify()["valid"], world.verify()
    world.ledger.close()


def test_a_repair_that_is_begun_twice_queues_a_file_once(full: World, victims: Victims) -> None:
    for n in range(6):
        full.write(f"new/z{n}.txt", f"new document {n}")
    job = full.jobs.create(full.order())
    assert victims.run(full.folder, "publish.after=kill@2") == KILLED  # the listing is complete
    oldest = live(full)[0]
    (full.files / oldest.faiss["name"]).unlink()
    assert victims.run(full.folder, "commit.absent=kill") == KILLED
    assert victims.run(full.folder) == FINISHED
    assert full.contents() == full.expected()
    progress = full.jobs.get(job["id"])["progress"]
    assert progress["settled"] == progress["total"] == 12 + 6 + oldest.live_rows // 2


def test_two_damaged_segments_stop_and_ask(full: World, chance: random.Random) -> None:
    for segment in live(full)[:2]:
        flip(full.files / segment.faiss["name"], chance)
    before = sorted(full.files.rglob("*"))
    job = full.run()
    assert (job["state"], job["reason"]["code"]) == ("failed", "refused")
    assert "restore a backup" in job["reason"]["message"]
    assert full.embedder.texts == []
    assert sorted(full.files.rglob("*")) == before


def test_a_missing_manifest_is_published_again(full: World) -> None:
    path = full.files / "manifest.json"
    whole = path.read_bytes()
    path.unlink()
    assert [problem["kind"] for problem in full.verify()["problems"]] == ["manifest"]
    full.run()
    assert path.read_bytes() == whole


@pytest.mark.parametrize("which", [0, -1])
def test_a_damaged_commit_record_is_written_anew_byte_for_byte(
    which: int, full: World, chance: random.Random
) -> None:
    path = in_use(full, "commits/*.json")[which]
    whole = path.read_bytes()
    flip(path, chance)
    full.run()
    assert path.read_bytes() == whole
    assert aside(full) == [path.name]
    path.unlink()
    full.run()
    assert path.read_bytes() == whole


def test_a_folder_of_another_ledger_is_refused(full: World) -> None:
    path = full.files / "collection.json"
    path.write_bytes(seal({**unseal(path.read_bytes()), "store_id": "another"}))
    assert [problem["kind"] for problem in full.verify()["problems"]] == ["collection"]
    job = full.run()
    assert (job["state"], job["reason"]["code"]) == ("failed", "refused")
    assert "belongs to another ledger" in job["reason"]["message"]


def test_a_damaged_collection_file_is_refused_when_nothing_else_proves_whose_the_folder_is(
    full: World, chance: random.Random
) -> None:
    flip(full.files / "collection.json", chance)
    in_use(full, "commits/*.json")[-1].unlink()
    job = full.run()
    assert (job["state"], job["reason"]["code"]) == ("failed", "refused")
    assert "restore the file" in job["reason"]["message"]


def test_a_ledger_that_was_put_back_is_refused(full: World, tmp_path: Path) -> None:
    full.ledger.close()
    shutil.copy(tmp_path / "data/tidestone.db", tmp_path / "old.db")
    full.write("new.txt", "a document of a later generation")
    full.run()
    full.ledger.close()
    shutil.copy(tmp_path / "old.db", tmp_path / "data/tidestone.db")
    before = read_manifest(full.files)
    job = full.run()
    assert (job["state"], job["reason"]["code"]) == ("failed", "refused")
    assert "Restore the newer ledger" in job["reason"]["message"]
    assert read_manifest(full.files) == before


def test_an_unknown_file_is_put_aside_and_none_is_ever_lost(full: World) -> None:
    for text in ("one", "two"):
        (full.files / "segments/notes.txt").write_text(text)
        full.run()
    strange = full.files / "commits/99999999-t1.json"
    strange.write_text(json.dumps({"of": "another time"}))
    full.run()
    assert aside(full) == ["99999999-t1.json", "notes.txt", "notes.txt~2"]
    found = {hash_file(path)[1] for path in (full.files / "quarantine").iterdir()}
    assert found == {3, len('{"of": "another time"}')}
    assert full.contents() == full.expected()
    assert full.verify()["valid"], full.verify()
