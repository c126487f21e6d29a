"""Two roots, two keepers, readers beside them: refused or correct, never corrupt."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Event, Thread
from typing import Any

import pytest

from service.ledger import collections
from service.maintenance import departures
from service.reader import Collection
from service.selftest.fake_embedder import FakeEmbedder
from tests.engine.world import World
from tests.running import wait_for


@pytest.fixture
def filled(world: World) -> World:
    for n in range(7):
        world.write(f"{n}.txt", f"document number {n}\n\nits second part {n}")
    world.run()
    return world


def test_one_file_under_two_roots_is_two_documents_and_embedded_once(filled: World) -> None:
    once = filled.expected()
    filled.embedder = again = FakeEmbedder()
    filled.run(root="copy")
    assert again.texts == []
    twice = once | {(key.replace("library/", "copy/"), ordinal, text) for key, ordinal, text in once}
    assert filled.contents() == twice
    (filled.library / "3.txt").unlink()
    filled.run()
    assert filled.contents() == twice - {row for row in twice if row[0] == "library/3.txt"}
    assert filled.verify()["valid"]


@contextmanager
def reading(world: World, look: Callable[[Collection], None]) -> Iterator[list[int]]:
    """A reader that looks at every generation it meets; it must come through until the end of the block."""
    stop, seen, errors = Event(), list[int](), list[BaseException]()

    def read() -> None:
        try:
            reader = Collection.open(world.files)
            while not stop.is_set():
                seen.append(reader.generation)
                look(reader)
                reader.refresh()
        except BaseException as error:
            errors.append(error)

    thread = Thread(target=read)
    thread.start()
    try:
        yield seen
    finally:
        stop.set()
        thread.join()
    assert errors == []


def test_readers_come_through_deletions_and_purges(filled: World) -> None:
    """A purge removes files at once: who meets a missing one finds a newer manifest."""
    whole = filled.contents()

    def look(reader: Collection) -> None:
        rows = {(row.key, row.ordinal, row.text) for row in reader.snapshot().rows()}
        assert {row for row in rows if row[2].strip()} <= whole

    with reading(filled, look) as seen:
        for n in range(5):
            key = {"key": f"library/{n}.txt"}
            task = departures.withdraw(filled.orders, "docs", key, purge=n % 2 == 0)
            assert filled.tend(task)["result"]["verified"]
        last = filled.tend(departures.withdraw(filled.orders, "docs", {"key": "library/5.txt"}))
        wait_for(lambda: seen and seen[-1] >= last["result"]["generation"])
    assert {row[0] for row in filled.contents()} == {"library/6.txt"}


def test_two_keepers_delete_a_collection_once(filled: World) -> None:
    with filled.ledger.read() as c:
        collection_id = collections.by_name(c, "docs").id
    task = departures.drop(filled.orders, "docs")
    keepers = [filled.keeper(), filled.keeper()]
    answers: list[Any] = []

    def serve(number: int) -> None:
        answers.append(keepers[number].serve_collection(collection_id, f"keeper-{number}", Event()))

    threads = [Thread(target=serve, args=(number,)) for number in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(answers) == 2
    assert True in answers
    done = filled.orders.get(task["id"])
    assert (done["state"], done["attempts"]) == ("done", 1)
    assert list(filled.settings.data_dir.glob("collections/docs/*.json")) == []
    filled.run()
    assert filled.contents() == filled.expected()
