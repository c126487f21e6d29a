"""What is known of files is read some folders ahead, and never of more folders than fit in hand."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from service.engine import known as module
from service.engine.known import Known
from service.ledger import collections, documents
from tests.engine.world import World

Asked = list[list[str]]


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Asked:
    """The folders of each query."""
    queries: Asked = []
    real = documents.files_in

    def noted(c: Any, source_id: int, folders: list[str]) -> dict[str, dict[str, str]]:
        queries.append(folders)
        return real(c, source_id, folders)

    monkeypatch.setattr(documents, "files_in", noted)
    return queries


@contextmanager
def ingested(world: World) -> Iterator[Known]:
    """What is known after a run over the world's library."""
    world.run()
    with world.ledger.read() as c:
        source = collections.find_source(c, collections.by_name(c, "docs").id, "library", "library")
        assert source is not None
        counts = documents.folders_of(c, source.id)
    yield Known(world.ledger, source.id, counts)


def test_small_folders_share_a_query(world: World, asked: Asked) -> None:
    for n in range(5):
        world.write(f"{n}/x.txt", f"document number {n}")
    with ingested(world) as known:
        asked.clear()
        found = [known.files_in(f"{n}", [f"{after}" for after in range(4, n, -1)]) for n in range(5)]
        assert [list(files) for files in found] == [["x.txt"]] * 5
        assert asked == [["0", "1", "2", "3", "4"]]


def test_a_large_folder_is_read_alone(world: World, asked: Asked, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_FILES_AHEAD", 3)
    for n in range(6):
        world.write(f"{n % 2}/{n}.txt", f"document number {n}")
    with ingested(world) as known:
        asked.clear()
        assert len(known.files_in("0", ["1"])) == len(known.files_in("1")) == 3
        assert asked == [["0"], ["1"]]


def test_nothing_is_asked_about_a_folder_without_known_files(world: World, asked: Asked) -> None:
    world.write("a/x.txt", "a document")
    with ingested(world) as known:
        asked.clear()
        assert known.files_in("new", ["newer"]) == {}
        assert asked == []


def test_a_file_that_failed_has_no_stamp_to_rely_on(world: World) -> None:
    world.write("a/x.txt", "DAMAGED beyond reading")
    with ingested(world) as known:
        assert known.files_in("a") == {"x.txt": ""}
