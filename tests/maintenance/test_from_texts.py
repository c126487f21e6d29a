"""Where vectors are gone and texts are not, a repair embeds the texts: no source is read again."""

import json
import os
import shutil
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from threading import Event
from typing import Any

import pytest

from service import failpoints
from service.core.upkeep import Kind
from service.errors import EmbedderDied, Unavailable
from service.index.files import put_aside
from service.maintenance.rebuild import rebuild
from service.ports import Float32Vector
from service.selftest.fake_embedder import OTHER_SPACE, FakeEmbedder
from service.selftest.lagging_embedder import LaggingEmbedder
from tests.engine.world import World
from tests.maintenance.test_rebuild import again, known, lose, vectors
from tests.maintenance.test_repair import is_whole, live, ordered, spoil, spoil_all


@pytest.fixture
def filled(world: World) -> World:
    """Nine documents and a file with three records; whoever repairs it has an embedder."""
    for n in range(9):
        world.write(f"{n:02}.txt", f"document {n} says this\n\nand its second part {n}")
    lines = [json.dumps({"id": f"r{n}", "text": f"record number {n} of a file"}) for n in range(3)]
    world.write("records.jsonl", "\n".join(lines))
    world.run()
    world.embedder.texts.clear()
    world.embedder_of_keepers = world.embedder
    return world


def counts(told: dict[str, Any]) -> tuple[int, int, int]:
    return told["documents_rescued"], told["documents_embedded"], told["documents_queued"]


def documents_in(world: World) -> int:
    return len({key for key, *_ in world.contents()})


@pytest.mark.parametrize("harm", [spoil, Path.unlink])
def test_texts_are_enough_and_what_comes_back_is_what_was_there(
    filled: World, harm: Callable[[Path], None]
) -> None:
    before, documents, rows = filled.contents(), known(filled), vectors(filled)
    for row in live(filled):
        harm(filled.files / row.faiss["name"])
    shutil.move(filled.library, filled.folder / "elsewhere")
    assert counts(ordered(filled)) == (0, 12, 0)
    assert len(filled.embedder.texts) == len(before)
    assert (filled.contents(), vectors(filled)) == (before, rows)
    assert filled.verify()["valid"], filled.verify()
    changed = ("version_id", "stamp", "file_sha256")  # a file that only holds records is looked into again
    for then, now in zip(documents, known(filled), strict=True):
        different = {name for name in then if then[name] != now[name]}
        assert different <= ({"version_id"} if then["state"] == "indexed" else set(changed)), then["key"]
    shutil.move(filled.folder / "elsewhere", filled.library)
    filled.embedder.texts.clear()
    assert filled.run()["state"] == "succeeded"
    assert filled.embedder.texts == [], "and no source has anything to add"
    is_whole(filled)
    rebuild(lose(filled))
    new = again(filled)
    assert vectors(new) == rows
    new.ledger.close()


def test_where_texts_are_gone_too_sources_are_read(filled: World) -> None:
    spoil_all(filled, "faiss")
    first = live(filled)[0]
    spoil(filled.files / first.chunks["name"])
    rescued, embedded, queued = counts(ordered(filled))
    assert (rescued, embedded + queued) == (0, 12)
    assert min(embedded, queued) > 0
    assert documents_in(filled) == embedded
    filled.run()
    is_whole(filled)


def without_an_embedder(world: World) -> None:
    world.embedder_of_keepers = None


def of_another_space(world: World) -> None:
    world.embedder_of_keepers = FakeEmbedder(OTHER_SPACE)


def too_large(world: World) -> None:
    """For one commit."""
    world.configure(segment_rows=1)


def of_another_text(world: World) -> None:
    with world.ledger.write() as c:
        c.exec_driver_sql("UPDATE versions SET prefix_sha256 = 'of another text'")


class Failing(FakeEmbedder):
    """Whose futures end like this."""

    error: Exception = EmbedderDied("its child died")

    def submit(self, text: str) -> Future[Float32Vector]:
        future: Future[Float32Vector] = Future()
        future.set_exception(self.error)
        return future


def that_dies(world: World) -> None:
    world.embedder_of_keepers = Failing()


def that_is_not_there(world: World) -> None:
    world.embedder_of_keepers = Failing()
    world.embedder_of_keepers.error = Unavailable("no_model", "there is no model")


OBSTACLES = [
    without_an_embedder,
    of_another_space,
    of_another_text,
    that_dies,
    that_is_not_there,
]


@pytest.mark.parametrize("obstacle", OBSTACLES)
def test_what_cannot_be_embedded_is_left_to_its_source(
    filled: World, obstacle: Callable[[World], None]
) -> None:
    obstacle(filled)
    spoil_all(filled, "faiss")
    assert counts(ordered(filled)) == (0, 0, 12)
    assert filled.contents() == set()
    filled.run()
    is_whole(filled)


def test_a_document_that_is_too_large_for_one_commit_is_left_to_its_source(filled: World) -> None:
    too_large(filled)
    spoil_all(filled, "faiss")
    assert counts(ordered(filled)) == (0, 3, 9), "a record is one chunk"
    filled.run()
    is_whole(filled)


def test_several_commits_where_there_is_much(filled: World) -> None:
    filled.configure(segment_rows=4)
    before = filled.verify()["generation"]
    spoil_all(filled, "faiss")
    assert counts(ordered(filled)) == (0, 12, 0)
    assert filled.verify()["generation"] >= before + 1 + 21 // 4
    is_whole(filled)


def test_a_document_of_which_a_sound_segment_has_a_part(world: World) -> None:
    world.configure(batch_size=1, segment_rows=4)
    world.embedder = LaggingEmbedder()
    world.write("long.txt", "\n\n".join(f"part {n} of a long document" for n in range(10)))
    world.run()
    first = live(world)[0]
    assert len(live(world)) > 1
    spoil(world.files / first.faiss["name"])
    world.configure(segment_rows=16)
    world.embedder_of_keepers = world.embedder
    assert counts(ordered(world)) == (0, 1, 0)
    is_whole(world)


@pytest.mark.parametrize("passing", [1, 2, 3])
def test_killed_in_the_middle_the_rest_comes_from_the_sources(filled: World, passing: int) -> None:
    filled.configure(segment_rows=8)
    spoil_all(filled, "faiss")
    task = filled.orders.place("docs", Kind.REPAIR, {})
    filled.ledger.close()
    pid = os.fork()
    if pid == 0:
        failpoints.arm(f"ledger.after=kill@{passing}")
        filled.tend(task)
        os._exit(0)
    _, status = os.waitpid(pid, 0)
    assert os.WIFSIGNALED(status)
    filled.keeper(dead_seconds=0.0).serve_idle("the next", Event())
    assert filled.orders.get(task["id"])["state"] == "done"
    assert filled.verify()["valid"], filled.verify()
    filled.run()
    is_whole(filled)


def test_who_is_told_to_stop_does_not_wait_for_vectors(filled: World) -> None:
    class Endless(FakeEmbedder):
        def submit(self, text: str) -> Future[Float32Vector]:
            self.texts.append(text)
            if len(self.texts) == 21:  # all
                filled.stop.set()
            return Future()

    filled.embedder_of_keepers = Endless()
    spoil_all(filled, "faiss")
    task = filled.orders.place("docs", Kind.REPAIR, {})
    assert filled.tend(task)["state"] == "queued"
    filled.stop.clear()
    filled.embedder_of_keepers = filled.embedder
    filled.run()
    is_whole(filled)


def test_texts_are_read_wherever_their_files_have_gone(
    filled: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not even quarantine need keep them: they are open."""

    def and_gone(root: Path, name: str) -> None:
        put_aside(root, name)
        (root / "quarantine" / Path(name).name).unlink()

    monkeypatch.setattr("service.engine.repair.put_aside", and_gone)
    spoil_all(filled, "faiss")
    assert counts(ordered(filled)) == (0, 12, 0)
    is_whole(filled)
