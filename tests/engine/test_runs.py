"""A folder becomes a collection, and later runs follow its changes."""

import json
from concurrent.futures import Future
from itertools import pairwise

import pytest

from service.core.job import Verb
from service.ports import Float32Vector
from service.reader import Collection
from service.selftest.lagging_embedder import LaggingEmbedder
from tests.engine.world import World


def three_documents(world: World) -> None:
    world.write("a.txt", "alpha one\n\nalpha two")
    world.write("sub/b.txt", "beta one\n\nbeta two\n\nbeta three")
    world.write("c.txt", "gamma, only one")


def test_a_first_run_makes_every_document_searchable(world: World) -> None:
    three_documents(world)
    job = world.run()
    assert job["state"] == "succeeded"
    assert job["progress"]["done"] == 3
    assert job["progress"]["total"] == 3
    assert world.contents() == world.expected()
    assert world.verify()["valid"], world.verify()


def test_a_second_run_reads_nothing_again(world: World) -> None:
    three_documents(world)
    world.run()
    world.preparer.prepared.clear()
    job = world.run()
    assert job["state"] == "succeeded"
    assert job["progress"]["unchanged"] == 3
    assert world.preparer.prepared == []
    assert world.contents() == world.expected()


def test_a_changed_file_replaces_its_old_version_and_embeds_only_its_new_chunks(world: World) -> None:
    three_documents(world)
    world.run()
    world.embedder.texts.clear()
    world.write("sub/b.txt", "beta one\n\nbeta two changed\n\nbeta three", mtime=1_600_000_100)
    job = world.run()
    assert world.embedder.texts == ["beta two changed"]
    assert job["progress"]["chunks_reused"] == 2
    assert world.contents() == world.expected()
    assert world.verify()["valid"], world.verify()


def test_a_moved_file_costs_no_embedding(world: World) -> None:
    for n in range(6):
        world.write(f"x{n}.txt", f"document {n} has one chunk\n\nand another, {n}")
    world.run()
    world.embedder.texts.clear()
    (world.library / "x0.txt").rename(world.library / "moved.txt")
    job = world.run()
    assert world.embedder.texts == []
    assert job["progress"]["deleted"] == 1
    assert world.contents() == world.expected()


def test_a_vanished_file_leaves_the_collection(world: World) -> None:
    for n in range(10):
        world.write(f"d/x{n}.txt", f"document number {n}")
    world.run()
    (world.library / "d/x3.txt").unlink()
    job = world.run()
    assert job["state"] == "succeeded"
    assert job["progress"]["deleted"] == 1
    assert world.contents() == world.expected()


def test_a_mass_deletion_is_withheld_until_its_digest_is_confirmed(world: World) -> None:
    for n in range(10):
        world.write(f"d/x{n}.txt", f"document number {n}")
    world.run()
    before = world.contents()
    for n in range(3):
        (world.library / f"d/x{n}.txt").unlink()
    job = world.run()
    assert job["state"] == "completed_with_errors"
    assert job["deletes_withheld"]["count"] == 3
    assert world.contents() == before
    wrong = world.run(deletes="confirmed", deletes_digest="0" * 32)
    assert wrong["deletes_withheld"]["count"] == 3
    assert world.contents() == before
    job = world.run(deletes="confirmed", deletes_digest=job["deletes_withheld"]["digest"])
    assert job["state"] == "succeeded"
    assert world.contents() == world.expected()


def test_a_damaged_and_a_short_file_do_not_stop_the_others(world: World) -> None:
    three_documents(world)
    world.write("bad.txt", "DAMAGED beyond reading")
    world.write("short.txt", "tiny")
    job = world.run()
    assert job["state"] == "completed_with_errors"
    assert (job["progress"]["done"], job["progress"]["failed"], job["progress"]["skipped"]) == (3, 1, 1)
    assert world.contents() == world.expected()


def test_a_failed_file_is_not_tried_again_until_it_changes(world: World) -> None:
    three_documents(world)
    world.write("bad.txt", "DAMAGED beyond reading")
    world.run()
    world.preparer.prepared.clear()
    job = world.run()
    assert world.preparer.prepared == []
    assert job["progress"]["known_failed"] == 1
    assert job["state"] == "succeeded"
    world.write("bad.txt", "mended, and readable now", mtime=1_600_000_100)
    world.run()
    assert world.contents() == world.expected()


def test_records_of_a_file_are_documents_of_their_own(world: World) -> None:
    world.write("r.jsonl", '{"id": "a", "text": "first record"}\n{"id": "b", "text": "second record"}\n')
    world.run()
    assert world.contents() == {
        ("library/r.jsonl#a", 0, "first record"),
        ("library/r.jsonl#b", 0, "second record"),
    }
    world.embedder.texts.clear()
    lines = '{"id": "b", "text": "second record"}\n{"id": "c", "text": "third record"}\n'
    world.write("r.jsonl", lines, mtime=1_600_000_100)
    job = world.run()
    assert world.embedder.texts == ["third record"]
    assert job["state"] == "succeeded"
    assert world.contents() == {
        ("library/r.jsonl#b", 0, "second record"),
        ("library/r.jsonl#c", 0, "third record"),
    }
    assert world.verify()["valid"], world.verify()


def test_two_records_with_one_id_are_both_kept(world: World) -> None:
    world.write("r.jsonl", '{"id": "a", "text": "first record"}\n{"id": "a", "text": "second record"}\n')
    world.run()
    assert {text for _, _, text in world.contents()} == {"first record", "second record"}


def test_a_bad_record_fails_alone(world: World) -> None:
    world.write("r.jsonl", '{"id": "a", "text": "BAD record"}\n{"id": "b", "text": "second record"}\n')
    job = world.run()
    assert job["state"] == "completed_with_errors"
    assert world.contents() == {("library/r.jsonl#b", 0, "second record")}


def test_equal_chunks_are_embedded_once(world: World) -> None:
    world.write("a.txt", "\n\n".join(["the same words"] * 20 + ["other words"]))
    world.run()
    assert sorted(world.embedder.texts) == ["other words", "the same words"]
    assert world.contents() == world.expected()


def test_many_small_segments_are_merged_and_nothing_is_lost(world: World) -> None:
    world.configure(batch_size=1, max_live_segments=5)
    for n in range(30):
        world.write(f"x{n:02}.txt", f"document number {n}\n\nwith two chunks, {n}")
    job = world.run()
    assert job["state"] == "succeeded"
    assert world.contents() == world.expected()
    report = world.verify()
    assert report["valid"], report
    assert len(Collection.open(world.files).snapshot().segments) <= 5
    (world.library / "x07.txt").unlink()
    world.write("x09.txt", "document number nine, changed", mtime=1_600_000_100)
    world.run()
    assert world.contents() == world.expected()
    assert world.verify()["valid"], world.verify()


def test_fresh_does_everything_again(world: World) -> None:
    three_documents(world)
    world.run()
    world.preparer.prepared.clear()
    job = world.run(mode="fresh")
    assert sorted(world.preparer.prepared) == ["a.txt", "b.txt", "c.txt"]
    assert job["progress"]["done"] == 3
    assert world.contents() == world.expected()
    assert world.verify()["valid"], world.verify()


def test_a_failed_file_that_was_only_touched_is_not_parsed_again_unless_asked_for(world: World) -> None:
    world.write("bad.txt", "DAMAGED beyond reading")
    job = world.run()
    world.write("bad.txt", "DAMAGED beyond reading", mtime=1_600_000_100)
    assert world.run()["progress"]["known_failed"] == 1
    assert world.preparer.parsed == ["bad.txt"]
    world.jobs.ask(job["id"], Verb.RETRY)
    world.worker().take_one()
    assert world.preparer.parsed == ["bad.txt", "bad.txt"]
    assert world.jobs.get(job["id"])["state"] == "completed_with_errors"


def test_a_file_that_comes_back_before_its_removal_stays(world: World) -> None:
    for n in range(10):
        world.write(f"x{n}.txt", f"document number {n}")
    world.run()
    text = (world.library / "x3.txt").read_text()
    (world.library / "x3.txt").unlink()
    world.write("new.txt", "a file that is read after the listing")
    world.preparer.before = lambda _: world.write("x3.txt", text) and None
    job = world.run()
    assert job["progress"]["deleted"] == 0
    assert world.contents() == world.expected()


@pytest.mark.parametrize("size", [1, 3, 7])
def test_no_checkpoint_has_more_documents_than_a_batch(world: World, size: int) -> None:
    for n in range(10):
        world.write(f"x{n}.txt", f"document number {n}")
        world.write(f"short{n}.txt", "short")
    lines = (json.dumps({"id": f"r{n}", "text": f"record number {n}"}) for n in range(15))
    world.write("records.jsonl", "\n".join(lines))
    job = world.run(batch_size=size)
    assert (job["state"], job["progress"]["done"], job["progress"]["skipped"]) == ("succeeded", 11, 10)
    points = world.jobs.checkpoints(job["id"], limit=100)["checkpoints"]
    documents = [0, *sorted(point["documents"] for point in points)]
    assert documents[-1] == 25
    assert max(after - before for before, after in pairwise(documents)) <= size
    assert world.contents() == world.expected()


def test_inside_a_large_document_the_rate_is_not_zero_and_no_end_is_foretold(world: World) -> None:
    world.configure(segment_rows=8, commit_seconds=0.0)
    world.write("a.txt", "a small document")
    world.write("later/b.txt", "\n\n".join(f"paragraph {n} of many" for n in range(600)))
    seen = []

    class Watching(LaggingEmbedder):
        def submit(self, text: str) -> Future[Float32Vector]:
            seen.append(world.jobs.listing()["jobs"][0]["progress"])
            return super().submit(text)

    world.embedder = Watching(0.003)
    assert world.run(batch_size=1)["state"] == "succeeded"
    inside = [progress for progress in seen if progress["settled"] == 1 and progress["chunks"] > 100]
    assert inside
    assert all(progress["rate_per_second"] > 0 and progress["eta_seconds"] is None for progress in inside)
