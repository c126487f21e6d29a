"""Repair by order: any number of damaged segments, and only what nothing else holds is done again."""

import os
from pathlib import Path
from threading import Event
from typing import Any

import pytest

from service import failpoints
from service.core.upkeep import Kind
from service.engine import recover
from service.ledger import collections, metrics, segments
from service.ledger.database import AnyRow
from tests.engine.world import OLD, World


@pytest.fixture
def merged(world: World) -> World:
    """Two merged segments whose inputs are still there, and a later one with a dead row in a merged one."""
    world.configure(batch_size=3, merged_rows=12)
    for n in range(12):
        world.write(f"{n:02}.txt", f"document {n} says this\n\nand its second part {n}")
    world.run()
    with world.ledger.read() as c:
        row = collections.by_name(c, "docs")
    while (task := world.merger.merge_one(row, Event())) is not None:
        assert world.tend(world.orders.get(task.id))["result"]["taken"]
    world.write("00.txt", "document 0 says that\n\nand its second part 0", OLD + 100)
    world.run()
    world.embedder.texts.clear()
    return world


def live(world: World) -> list[AnyRow]:
    with world.ledger.read() as c:
        return list(segments.live(c, collections.by_name(c, "docs").id))


def spoil(path: Path) -> None:
    """Another last byte."""
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.chmod(0o644)
    path.write_bytes(data)


def spoil_all(world: World, kind: str) -> int:
    """Damage this file of every live segment that has one; how many."""
    files = [getattr(row, kind) for row in live(world) if getattr(row, kind)]
    for file in files:
        spoil(world.files / file["name"])
    return len(files)


def ordered(world: World, **options: Any) -> dict[str, Any]:
    done = world.tend(world.orders.place("docs", Kind.REPAIR, options))
    assert done["state"] == "done", done
    result: dict[str, Any] = done["result"]
    return result


def noted(world: World) -> float:
    """What the metric says of the last verification."""
    with world.ledger.read() as c:
        return next(m.value for m in metrics.everything(c) if m.name == "ingest_verify_problems")


def everything(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def is_whole(world: World) -> None:
    assert world.verify()["valid"], world.verify()
    assert world.contents() == world.expected()


@pytest.mark.parametrize("kind", ["faiss", "chunks"])
def test_what_older_files_hold_is_not_embedded_again(merged: World, kind: str) -> None:
    assert spoil_all(merged, kind) == 3
    assert not merged.verify()["valid"]
    told = ordered(merged)
    assert (len(told["segments_taken_out"]), told["documents_rescued"], told["documents_queued"]) == (
        3,
        11,
        1,
    )
    assert len(told["files_put_aside"]) == 2 * 3 + 1
    assert merged.embedder.texts == []
    assert merged.contents() == {row for row in merged.expected() if row[0] != "library/00.txt"}
    assert merged.verify()["valid"], merged.verify()
    assert merged.run()["state"] == "succeeded"
    assert sorted(merged.embedder.texts) == ["and its second part 0", "document 0 says that"]
    is_whole(merged)


def test_a_job_does_not_go_on_over_such_damage_and_names_the_repair(merged: World) -> None:
    spoil_all(merged, "faiss")
    job = merged.run()
    assert (job["state"], job["reason"]["code"]) == ("failed", "refused")
    assert "tidestone repair" in job["reason"]["message"]


def test_one_damaged_segment_is_rescued_by_the_job_that_finds_it(merged: World) -> None:
    before = merged.contents()
    spoil(merged.files / live(merged)[0].faiss["name"])
    assert merged.run()["state"] == "succeeded"
    assert merged.embedder.texts == []
    assert merged.contents() == before
    is_whole(merged)


def test_a_damaged_older_file_gives_nothing(merged: World) -> None:
    oldest = sorted((merged.files / "segments").glob("*.faiss"))
    live_names = {Path(row.faiss["name"]).name for row in live(merged)}
    for path in oldest:
        if path.name not in live_names:
            spoil(path)
    spoil_all(merged, "faiss")
    told = ordered(merged)
    assert (told["documents_rescued"], told["documents_queued"]) == (0, 12)
    assert merged.contents() == set()
    merged.run()
    assert len(merged.embedder.texts) == 24
    is_whole(merged)


def test_text_that_is_not_the_versions_is_not_taken_for_it(merged: World) -> None:
    spoil_all(merged, "faiss")
    with merged.ledger.write() as c:
        c.exec_driver_sql("UPDATE versions SET prefix_sha256 = 'of another text'")
    assert ordered(merged)["documents_rescued"] == 0


def test_a_live_file_that_cannot_be_written_anew_costs_no_document(
    merged: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recover, "mend_live", lambda *_: False)
    assert spoil_all(merged, "live") == 1
    told = ordered(merged)
    assert (told["documents_rescued"], told["documents_queued"]) == (5, 0)
    assert merged.embedder.texts == []
    is_whole(merged)


def test_damaged_records_live_files_and_counts_are_put_right(merged: World) -> None:
    record = next((merged.files / "commits").iterdir())
    whole = record.read_bytes()
    spoil(record)
    spoil_all(merged, "live")
    with merged.ledger.write() as c:
        collections.change(c, collections.by_name(c, "docs").id, documents=99, vectors=1)
    (merged.files / "segments/notes.txt").write_text("of nobody")
    found = [(p["kind"], p["where"]) for p in merged.verify()["problems"]]
    assert {("counts", "documents"), ("counts", "vectors")} < set(found)
    assert noted(merged) == len(found)
    told = ordered(merged)
    assert record.read_bytes() == whole
    assert f"commits/{record.name}" in told["files_rewritten"]
    assert len(told["files_rewritten"]) == 2
    assert len(told["files_put_aside"]) == 3
    assert told["counts_corrected"]
    assert not ordered(merged)["counts_corrected"]
    with merged.ledger.read() as c:
        row = collections.by_name(c, "docs")
    assert (row.documents, row.vectors) == (12, 24)
    is_whole(merged)
    assert noted(merged) == 0


def test_a_dry_run_says_what_would_be_done_and_does_nothing(merged: World) -> None:
    spoil_all(merged, "chunks")
    before = everything(merged.files)
    told = ordered(merged, dry_run=True)
    assert (len(told["segments_damaged"]), told["documents_rescued"], told["documents_queued"]) == (3, 11, 1)
    assert {problem["kind"] for problem in told["problems"]} == {"damaged"}
    assert everything(merged.files) == before


def test_what_is_found_sound_is_not_suspected_any_more(merged: World) -> None:
    with merged.ledger.write() as c:
        segments.suspect(c, collections.by_name(c, "docs").id, live(merged)[0].faiss["name"])
    ordered(merged)
    assert [row.suspect for row in live(merged)] == [False, False, False]


def test_a_document_across_two_damaged_segments_is_rescued_as_a_whole(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recover, "mend_live", lambda *_: False)
    world.configure(batch_size=1, segment_rows=4)
    parts = [f"part {n} of a long document" for n in range(10)]
    world.write("long.txt", "\n\n".join(parts))
    world.write("other.txt", "\n\n".join(parts[::-1]))
    world.run()
    world.write("other.txt", "something else by now", OLD + 100)
    world.run()
    world.embedder.texts.clear()
    damaged = spoil_all(world, "live")
    told = ordered(world)
    assert len(told["segments_taken_out"]) == damaged
    assert told["documents_queued"] == 0
    assert world.embedder.texts == []
    is_whole(world)


POINTS = ["vectors.written", "chunks.synced", "commit.absent", "ledger.before", "ledger.after"]


@pytest.mark.parametrize("point", POINTS)
def test_a_repair_that_is_killed_is_done_by_the_next(merged: World, point: str) -> None:
    before = merged.contents()
    spoil(merged.files / live(merged)[0].faiss["name"])
    spoil(merged.files / live(merged)[1].chunks["name"])
    task = merged.orders.place("docs", Kind.REPAIR, {})
    merged.ledger.close()
    pid = os.fork()
    if pid == 0:
        failpoints.arm(f"{point}=kill")
        merged.tend(task)
        os._exit(0)
    _, status = os.waitpid(pid, 0)
    assert os.WIFSIGNALED(status)
    keeper = merged.keeper(dead_seconds=0.0)
    keeper.serve_idle("the next", Event())
    assert merged.orders.get(task["id"])["state"] == "done"
    assert merged.contents() == before
    assert merged.embedder.texts == []
    is_whole(merged)
