"""A worker dies with a document half in: whatever happens to the file meanwhile, the whole truth comes out."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from service.engine.lease import Observer
from service.engine.sweep import sweep
from service.ledger import versions
from service.ledger.collections import by_name
from service.ports import FileRead, FileTask, Left, Piece, Span
from service.selftest.fake_preparer import FakePreparer
from service.selftest.victims import FINISHED, KILLED, Victims
from tests.engine.world import OLD, World

SETTINGS: dict[str, Any] = {"batch_size": 1, "segment_rows": 8, "max_retries": 1}
# Every tenth paragraph takes a while to embed: however late a worker gets to its commits, they are several.
LARGE = "\n\n".join(f"{'slow ' if n % 10 == 9 else ''}paragraph {n} of many" for n in range(60))


class CoarsePreparer(FakePreparer):
    """Says of the same text, under the same recipe, other chunks: two paragraphs each."""

    def prepare(self, task: FileTask) -> Iterator[Piece | Left | FileRead]:
        for said in super().prepare(task):
            if isinstance(said, Piece):
                pairs = zip(said.spans[::2], said.spans[1::2], strict=True)
                spans = [Span(a.start, b.stop, a.tokens + b.tokens) for a, b in pairs]
                said = replace(said, spans=spans, first_ordinal=said.first_ordinal // 2)
            yield said


@pytest.fixture
def world(folder: Path) -> Iterator[World]:
    folder.mkdir()
    made = World(folder)
    made.configure(**SETTINGS)
    yield made
    made.ledger.close()


def die_half_way(world: World, victims: Victims, commits: int = 2) -> dict[str, Any]:
    """Start a job, and kill its worker after some commits."""
    job = world.jobs.create(world.order())
    assert victims.run(world.folder, f"publish.after=kill@{commits}", **SETTINGS) == KILLED
    return job


def resume(world: World, job: dict[str, Any]) -> dict[str, Any]:
    assert sweep(world.ledger, Observer(0), world.settings) == 1
    return world.resume(job["id"])


def unfinished(world: World) -> int:
    with world.ledger.read() as c:
        return len(versions.unfinished(c, by_name(c, "docs").id))


def test_what_is_in_of_a_large_document_is_not_embedded_again(world: World, victims: Victims) -> None:
    world.write("large.txt", LARGE)
    job = die_half_way(world, victims)
    assert unfinished(world) == 1
    assert resume(world, job)["state"] == "succeeded"
    assert 0 < len(world.embedder.texts) <= 60 - 16
    assert world.contents() == world.expected()
    assert unfinished(world) == 0


def test_a_large_document_may_be_killed_at_every_one_of_its_commits(world: World, victims: Victims) -> None:
    world.write("large.txt", LARGE)
    job = die_half_way(world, victims, 1)
    deaths = 1
    while victims.run(world.folder, "ledger.after=kill", **SETTINGS) != FINISHED:
        deaths += 1
    assert deaths > 4
    assert world.jobs.get(job["id"])["state"] == "succeeded"
    assert world.contents() == world.expected()


def test_chunks_that_come_out_otherwise_than_the_stored_ones_start_the_document_again(
    world: World, victims: Victims
) -> None:
    world.write("large.txt", LARGE)
    job = die_half_way(world, victims)
    world.preparer = CoarsePreparer()
    assert resume(world, job)["state"] == "succeeded"
    parts = LARGE.split("\n\n")
    pairs = ["\n\n".join(parts[n : n + 2]) for n in range(0, 60, 2)]
    assert world.contents() == {("library/large.txt", n, pair) for n, pair in enumerate(pairs)}
    assert world.verify()["valid"], world.verify()


def test_a_large_document_that_is_gone_or_other_at_the_resumption_leaves_nothing_behind(
    world: World, victims: Victims
) -> None:
    world.write("large.txt", LARGE)
    job = die_half_way(world, victims)
    world.write("large.txt", "too little", OLD + 100).write_text("small")
    assert resume(world, job)["progress"]["skipped"] == 1
    assert unfinished(world) == 0
    assert world.contents() == set()
    assert world.verify()["valid"], world.verify()


def test_records_are_in_before_their_file_counts_as_read(world: World, victims: Victims) -> None:
    world.write("a.txt", "a document that is ready at once")
    world.write("r.jsonl", records("first", "second", "slow third"))
    job = die_half_way(world, victims, 1)
    assert resume(world, job)["state"] == "succeeded"
    assert world.contents() == world.expected()


def test_a_record_file_that_is_put_back_while_it_is_half_in_is_read_again(
    world: World, victims: Victims
) -> None:
    old, new = records("first", "second", "third"), records("first, changed", "second", "slow third")
    world.write("r.jsonl", old)
    world.run()
    world.write("r.jsonl", new, OLD + 100)
    job = die_half_way(world, victims, 2)  # the ladder publishes once, the first commit once
    world.write("r.jsonl", old)
    assert resume(world, job)["state"] == "succeeded"
    assert world.contents() == world.expected()


def test_a_record_file_that_is_gone_when_it_is_half_in_leaves_nothing_behind(
    world: World, victims: Victims
) -> None:
    for n in range(8):
        world.write(f"x{n}.txt", f"document number {n}")
    world.run()
    path = world.write("r.jsonl", records("first", "second", "slow third"))
    job = die_half_way(world, victims, 2)
    path.unlink()
    assert resume(world, job)["progress"]["skipped"] == 1
    assert world.run()["progress"]["deleted"] > 0
    assert world.contents() == world.expected()


def records(*texts: str) -> str:
    return "\n".join(f'{{"id": "{n}", "text": "{text} record"}}' for n, text in enumerate(texts))
