"""Another model: the new space is prepared from stored texts beside the old one, and one commit switches to it."""

import json
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from service.core.job import Verb
from service.core.upkeep import Kind
from service.engine import collections as cases
from service.engine import documents, lease
from service.engine.search import Query, Search
from service.errors import Conflict, EmbedderDied, SpaceMismatch, TryAgain
from service.index.chunkfile import ChunkFile
from service.ledger import collections, segments, spaces
from service.maintenance import preparing
from service.maintenance.departures import withdraw
from service.maintenance.generations import Generations
from service.maintenance.reindex_order import Reindexing
from service.ports import FileTask, Float32Vector, Piece
from service.reader import Collection
from service.selftest.fake_embedder import FAKE_SPACE, FakeEmbedder
from service.selftest.fake_embedder import OTHER_SPACE as OTHER
from service.selftest.fake_preparer import FakePreparer
from tests.engine.world import World


def fill(world: World, first: int = 0, count: int = 8) -> None:
    for n in range(first, first + count):
        world.write(
            f"{n:02}.txt", f"document {n} says this\n\nand its second part {n}\n\nwhat all of them say"
        )
    world.run()


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wishes are noticed within hundredths of a second."""
    monkeypatch.setattr(lease, "WISH_SECONDS", 0.01)


@pytest.fixture
def filled(world: World) -> World:
    fill(world)
    return world


def other_model(world: World, **changes: Any) -> None:
    """From now on the world is configured for another space."""
    world.embedder = FakeEmbedder(replace(OTHER, **changes))


def order(world: World) -> dict[str, Any]:
    return Reindexing(world.jobs).create("docs")


def see_through(world: World, job: dict[str, Any]) -> dict[str, Any]:
    assert world.worker().take_one()
    return world.jobs.get(job["id"])


def check_in_its_space(world: World) -> None:
    """What readers find is what the files say, each with the configured model's vector."""
    assert world.contents() == world.expected()
    opened = Collection.open(world.files)
    assert opened.snapshot().dimensions == world.embedder.space.dimensions
    for row in opened.rows():
        assert np.allclose(row.vector, world.embedder.submit(row.text).result())
    for key in {row.key for row in opened.rows()}:
        assert opened.document(key) is not None, "its whole text has the hash that was recorded"
    report = world.verify()
    assert report["valid"], report["problems"]


def test_a_collection_moves_to_another_model_without_its_source(filled: World) -> None:
    before = Collection.open(filled.files)
    for path in filled.library.iterdir():
        path.rename(filled.folder / path.name)
    other_model(filled)
    done = see_through(filled, order(filled))
    for path in filled.folder.glob("*.txt"):
        path.rename(filled.library / path.name)
    assert (done["state"], done["progress"]["done"], done["progress"]["total"]) == ("succeeded", 8, 8)
    assert done["last_checkpoint"]["generation"] == filled.verify()["generation"]
    check_in_its_space(filled)
    assert before.refresh()
    assert before.snapshot().dimensions == OTHER.dimensions


class Halting(FakeEmbedder):
    """Answers a number of texts, then calls `then`, and neither answers the next nor, unless it goes on, any more."""

    def __init__(
        self, answers: int, then: Callable[[], object], goes_on: bool = False, **changes: Any
    ) -> None:
        super().__init__(replace(OTHER, **changes))
        self._answers, self._then, self._goes_on = answers, then, goes_on

    def submit(self, text: str) -> Future[Float32Vector]:
        if len(self.texts) < self._answers:
            return super().submit(text)
        if len(self.texts) == self._answers:
            self.texts.append(text)
            self._then()
            return Future()
        return super().submit(text) if self._goes_on and len(self.texts) > self._answers else Future()


def halted(world: World, answers: int, verb: Verb = Verb.PAUSE, **changes: Any) -> dict[str, Any]:
    """A reindex job that somebody has paused, or cancelled, after so many texts."""
    other_model(world, **changes)
    job = order(world)
    world.embedder = Halting(answers, lambda: world.jobs.ask(job["id"], verb), **changes)
    return see_through(world, job)


def go_on(world: World, job: dict[str, Any], **changes: Any) -> dict[str, Any]:
    other_model(world, **changes)
    world.jobs.ask(job["id"], Verb.RESUME)
    return see_through(world, job)


def prepared_files(world: World) -> int:
    """Files of segments that no generation has."""
    named = {
        file
        for segment in json.loads((world.files / "manifest.json").read_text())["segments"]
        for file in (segment["files"]["faiss"]["name"], segment["files"]["chunks"]["name"])
    }
    there = {f"segments/{path.name}" for path in (world.files / "segments").glob("*[!e]")}
    return len({name for name in there if not name.endswith(".live")} - named)


def test_equal_texts_are_embedded_once(filled: World) -> None:
    other_model(filled)
    done = see_through(filled, order(filled))
    assert filled.embedder.texts.count("what all of them say") == 1
    assert (done["progress"]["chunks"], done["progress"]["chunks_reused"]) == (24, 7)


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("segment_rows", [4, 4096])
def test_paused_and_resumed_nothing_that_is_saved_is_embedded_again(world: World, segment_rows: int) -> None:
    world.configure(segment_rows=segment_rows)
    fill(world)
    contents = world.contents()
    paused = halted(world, 9)
    assert paused["state"] == "paused"
    assert world.contents() == contents
    assert prepared_files(world) > 0
    before = set(world.embedder.texts)
    done = go_on(world, paused)
    assert done["state"] == "succeeded"
    assert len(before & set(world.embedder.texts)) <= 2, "the one in hand, and the one that all share"
    check_in_its_space(world)


def test_while_it_runs_it_says_how_fast_and_how_long_yet(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From what this attempt has saved: nothing before the first time, no end before the third."""
    world.configure(segment_rows=3)
    fill(world)
    other_model(world)
    job = order(world)
    seen: list[dict[str, Any]] = []

    def look(point: str) -> None:
        if point in ("reserve.before", "ledger.after"):
            seen.append(world.jobs.get(job["id"])["progress"])

    monkeypatch.setattr(preparing, "reach", look)
    done = see_through(world, job)["progress"]
    first, *_, last = seen
    assert (first["rate_per_second"], first["eta_seconds"]) == (0.0, None)
    assert last["settled"] == last["total"] == 8
    assert [p["eta_seconds"] is not None for p in seen] == [
        p["settled"] > 0 and number >= 5 for number, p in enumerate(seen)
    ]
    assert all(p["rate_per_second"] > 0 for p in seen if p["settled"])
    assert (done["rate_per_second"], done["eta_seconds"]) == (0.0, None)


@pytest.mark.usefixtures("quick")
def test_what_others_change_meanwhile_is_followed(filled: World) -> None:
    paused = halted(filled, 9)
    filled.embedder = FakeEmbedder()
    (filled.library / "00.txt").unlink()
    filled.write("01.txt", "document 1 says something else", mtime=1_700_000_000)
    fill(filled, 8, 2)
    assert filled.verify()["valid"]
    done = go_on(filled, paused)
    assert (done["state"], done["progress"]["done"]) == ("succeeded", 9)
    assert not list((filled.files / "quarantine").iterdir()), "nobody took what was prepared for litter"
    check_in_its_space(filled)
    fill(filled, 10, 2)
    check_in_its_space(filled)


@pytest.mark.usefixtures("quick")
def test_a_document_that_is_withdrawn_meanwhile_does_not_come_back(filled: World) -> None:
    other_model(filled)
    job, ordered = order(filled), dict[str, Any]()
    filled.embedder = Halting(
        9, lambda: ordered.update(withdraw(filled.orders, "docs", {"key": "library/01.txt"})), goes_on=True
    )
    done = see_through(filled, job)
    assert done["state"] == "succeeded"
    assert filled.orders.get(ordered["id"])["result"]["verified"]
    (filled.library / "01.txt").unlink()
    check_in_its_space(filled)


@pytest.mark.usefixtures("quick")
def test_a_document_that_is_purged_meanwhile_is_purged_from_what_is_prepared_too(world: World) -> None:
    world.configure(segment_rows=4)
    fill(world)
    paused = halted(world, 14)
    purged = world.tend(withdraw(world.orders, "docs", {"key": "library/01.txt"}, purge=True))
    assert (purged["state"], purged["result"]["verified"]) == ("done", True)
    assert go_on(world, paused)["state"] == "succeeded"
    (world.library / "01.txt").unlink()
    check_in_its_space(world)
    for path in world.files.rglob("*.chunks"):
        with ChunkFile(path) as chunks:
            kept = {version.key: version.content_sha256 for version in chunks.versions()}
            assert not kept.get("library/01.txt"), f"{path} has its text"


def test_a_document_is_withdrawn_that_had_versions_in_both_spaces(filled: World) -> None:
    filled.write("01.txt", "document 1 says something else", mtime=1_700_000_000)
    filled.run()
    other_model(filled)
    see_through(filled, order(filled))
    done = filled.tend(withdraw(filled.orders, "docs", {"key": "library/01.txt"}))
    assert (done["state"], done["result"]["verified"], done["result"]["searched"]) == ("done", True, 1)


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("held", [True, False])
def test_cancelled_it_leaves_everything_as_it_was(filled: World, held: bool) -> None:
    contents = filled.contents()
    job = halted(filled, 9, Verb.CANCEL if held else Verb.PAUSE)
    if not held:
        filled.jobs.ask(job["id"], Verb.CANCEL)
    assert filled.jobs.get(job["id"])["state"] == "cancelled"
    assert prepared_files(filled) > 0
    assert filled.contents() == contents
    [task] = filled.orders.listing()["tasks"]
    assert filled.tend(task)["state"] == "done"
    assert prepared_files(filled) == 0
    filled.embedder = FakeEmbedder()
    fill(filled, 8, 1)
    assert filled.verify()["valid"]
    other_model(filled)
    assert see_through(filled, order(filled))["state"] == "succeeded"
    check_in_its_space(filled)


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize(
    ("segment_rows", "stop_after"),
    [(1, None), (1, 13), *[(1, n) for n in range(21, 26)], (4096, None), (4096, 22), (4096, 23)],
)
def test_what_is_too_long_for_the_new_model_is_cut_in_two(
    world: World, segment_rows: int, stop_after: int | None
) -> None:
    world.configure(segment_rows=segment_rows)
    short, long = "a short one %d", "this is a sentence number %d. And so it goes on and on\nfor many a word"
    parts = [(long if n in (9, 11) else short) % n for n in range(14)]
    world.write("large.txt", "\n\n".join(parts))
    fill(world, count=3)
    texts = {
        row.key: opened.text
        for row in Collection.open(world.files).rows()
        if (opened := Collection.open(world.files).document(row.key))
    }
    window = {"max_tokens": 12, "prefix": ""}
    job = halted(world, stop_after, **window) if stop_after else None
    other_model(world, **window)
    if job is None:
        job = order(world)
    else:
        world.jobs.ask(job["id"], Verb.RESUME)
    done = see_through(world, job)
    assert (done["state"], done["progress"]["done"], done["progress"]["failed"]) == ("succeeded", 4, 0)
    opened = Collection.open(world.files)
    rows = list(opened.rows())
    assert len({(row.key, row.ordinal) for row in rows}) == len(rows) > 14 + 9
    for row in rows:
        assert np.allclose(row.vector, world.embedder.submit(row.text).result())
    for key, text in texts.items():
        document = opened.document(key)
        assert document is not None
        assert document.text == text
        assert " ".join("".join(chunk.text.split()) for chunk in document.chunks).replace(" ", "") == "".join(
            text.split()
        )
    assert world.verify()["valid"]
    assert world.run()["progress"]["unchanged"] == 4


class Gaps(FakePreparer):
    """The last character of every piece is in no chunk."""

    def _document(self, task: FileTask, record: str, text: str) -> Iterator[Piece]:
        for piece in super()._document(task, record, text):
            *spans, end = piece.spans
            yield replace(piece, spans=[*spans, replace(end, stop=end.stop - 1)])


@pytest.mark.parametrize("segment_rows", [1, 4096])
def test_text_that_is_in_no_chunk_is_kept(world: World, segment_rows: int) -> None:
    world.preparer = Gaps(pieces_of=2)
    world.configure(segment_rows=segment_rows)
    fill(world, count=3)
    other_model(world)
    see_through(world, order(world))
    opened = Collection.open(world.files)
    for n in range(3):
        document = opened.document(f"library/{n:02}.txt")
        assert document is not None
        assert document.text == (world.library / f"{n:02}.txt").read_text()


class Deadly(FakeEmbedder):
    """One text ends its child every time."""

    def submit(self, text: str) -> Future[Float32Vector]:
        if "part 3" not in text:
            return super().submit(text)
        future: Future[Float32Vector] = Future()
        future.set_exception(EmbedderDied("it ended"))
        return future


def test_a_document_that_cannot_be_embedded_is_set_aside_and_the_others_go_through(filled: World) -> None:
    other_model(filled)
    filled.embedder = Deadly(OTHER)
    done = see_through(filled, order(filled))
    assert (done["state"], done["progress"]["done"]) == ("completed_with_errors", 7)
    assert {row.key for row in Collection.open(filled.files).rows()} == {
        f"library/{n:02}.txt" for n in range(8) if n != 3
    }
    listed = documents.listing(filled.ledger, "docs", state="failed", limit=10)["documents"]
    assert [(row["key"], row["reason"]) for row in listed] == [("library/03.txt", "embedder_died")]
    assert filled.verify()["valid"]


def test_where_most_cannot_be_embedded_nothing_is_switched(world: World) -> None:
    world.configure(segment_rows=4)
    fill(world, count=24)
    other_model(world, prefix="so long a prefix that nothing fits behind it ", max_tokens=8)
    done = see_through(world, order(world))
    assert (done["state"], done["reason"]["code"]) == ("failed", "too_many_failures")
    assert world.contents() == world.expected()


@pytest.mark.usefixtures("quick")
def test_a_damaged_prepared_segment_is_prepared_again(world: World) -> None:
    world.configure(segment_rows=4)
    fill(world)
    known = set((world.files / "segments").iterdir())
    paused = halted(world, 14)
    victim = min(
        path for path in set((world.files / "segments").iterdir()) - known if path.suffix == ".faiss"
    )
    data = bytearray(victim.read_bytes())
    data[-1] ^= 1
    victim.write_bytes(data)
    assert go_on(world, paused)["state"] == "succeeded"
    assert (world.files / "quarantine" / victim.name).exists()
    check_in_its_space(world)


@pytest.mark.usefixtures("quick")
def test_a_document_that_was_half_in_begins_again_in_the_new_space(filled: World) -> None:
    filled.configure(segment_rows=4)
    filled.write("large.txt", "\n\n".join(f"paragraph {n} of a large one" for n in range(20)))
    job = filled.jobs.create(filled.order())
    stopping = Halting(10, filled.stop.set)
    stopping.space = FAKE_SPACE
    filled.embedder = stopping
    filled.worker().take_one()
    filled.stop.clear()
    assert filled.jobs.get(job["id"])["state"] == "interrupted"
    other_model(filled)
    assert see_through(filled, order(filled))["state"] == "succeeded"
    assert filled.resume(job["id"])["state"] == "succeeded"
    check_in_its_space(filled)


def test_what_stands_in_the_way_is_said_before_anything_is_done(filled: World) -> None:
    with pytest.raises(Conflict, match="nothing to do"):
        order(filled)
    other_model(filled)
    with pytest.raises(SpaceMismatch, match="tidestone reindex"):
        filled.run()
    filled.configure(min_free_bytes=1 << 60)
    with pytest.raises(TryAgain, match=r"disk_low.*beside the old one"):
        order(filled)
    filled.configure(min_free_bytes=0)
    job = order(filled)
    with pytest.raises(Conflict, match=job["id"]):
        order(filled)
    with filled.ledger.write() as c:
        collections.change(c, collections.by_name(c, "docs").id, state="deleting")
    with pytest.raises(Conflict, match="being deleted"):
        order(filled)


@pytest.mark.usefixtures("quick")
def test_a_job_does_not_go_on_with_another_model_than_it_was_ordered_for(filled: World) -> None:
    paused = halted(filled, 9)
    failed = go_on(filled, paused, prefix="another: ")
    assert (failed["state"], failed["reason"]["code"]) == ("failed", "refused")
    assert go_on(filled, paused)["state"] == "succeeded"
    check_in_its_space(filled)


@pytest.mark.usefixtures("quick")
def test_text_is_searched_with_the_model_that_the_published_vectors_are_of(filled: World) -> None:
    paused = halted(filled, 9)
    other_model(filled)
    search = Search(filled.ledger, filled.settings, lambda: FakeEmbedder(OTHER))
    with pytest.raises(SpaceMismatch, match="tidestone reindex"):
        search.search("docs", Query("document 5 says this"))
    assert len(search.search("docs", Query(vector=[1.0] * FAKE_SPACE.dimensions))["hits"]) == 10
    go_on(filled, paused)
    assert search.search("docs", Query("passage: document 5 says this"))["hits"][0]["key"] == "library/05.txt"
    search.close()


def test_the_space_of_every_generation_is_known_and_the_last_of_the_old_one_is_pinned(filled: World) -> None:
    last = filled.verify()["generation"]
    other_model(filled)
    see_through(filled, order(filled))
    with filled.ledger.write() as c:
        collection_id = collections.by_name(c, "docs").id
        at = [spaces.at(c, collection_id, generation).space["model"] for generation in (0, last, last + 1)]
        assert at == ["fake@0", "fake@0", "fake@1"]
        spaces.go_back(c, collection_id, last, last + 2)
        assert collections.by_name(c, "docs").space["model"] == "fake@0"
        assert spaces.at(c, collection_id, last + 1).space["model"] == "fake@1"
    pinned = {p["generation"] for p in cases.checkpoints(filled.ledger, "docs")["checkpoints"] if p["pinned"]}
    assert pinned == {last}


def test_what_moved_can_be_merged_changed_and_moved_again(world: World) -> None:
    world.configure(segment_rows=4)
    world.write("large.txt", "\n\n".join(f"paragraph {n} of a large one" for n in range(30)))
    fill(world)
    other_model(world)
    see_through(world, order(world))
    world.configure(max_live_segments=3)
    fill(world, 8, 4)
    check_in_its_space(world)
    for n in range(8):
        world.write(f"{n:02}.txt", f"document {n} says something else", mtime=1_700_000_000)
    world.write("large.txt", "not so large any more", mtime=1_700_000_000)
    world.run()
    check_in_its_space(world)
    other_model(world, prefix="third: ")
    assert see_through(world, order(world))["state"] == "succeeded"
    check_in_its_space(world)


def test_the_old_space_stays_until_it_is_unpinned_and_then_goes(filled: World) -> None:
    last, old = filled.verify()["generation"], set((filled.files / "segments").glob("*.faiss"))
    other_model(filled)
    see_through(filled, order(filled))
    fill(filled, 8, 1)
    filled.configure(retain_jobs=0, retain_days=0, retain_checkpoints=1, gc_grace_seconds=0.0)

    def kept() -> set[Path]:
        for _ in range(2):  # one sees what is unneeded, the next removes it
            filled.tend(filled.orders.place("docs", Kind.COLLECT))
        return old & set((filled.files / "segments").glob("*.faiss"))

    assert kept() == old
    Generations(filled.ledger).pin("docs", last, False)
    assert kept() == set()
    check_in_its_space(filled)


def test_a_merge_covers_the_batches_of_all_its_inputs(filled: World) -> None:
    """After a reindex a segment may reach beyond the one that follows it."""
    with filled.ledger.write() as c:
        collection_id = collections.by_name(c, "docs").id
        first, *_ = segments.live(c, collection_id)
        segments.change(c, collection_id, first.segment_id, last_batch=99)
    filled.configure(max_live_segments=3)
    fill(filled, 8, 1)
    with filled.ledger.read() as c:
        merged, *_ = segments.live(c, collection_id)
    assert (merged.segment_id > first.segment_id, merged.first_batch, merged.last_batch) == (True, 1, 99)


def test_an_empty_collection_moves_too(world: World) -> None:
    world.run()
    other_model(world)
    assert see_through(world, order(world))["state"] == "succeeded"
    fill(world)
    check_in_its_space(world)
