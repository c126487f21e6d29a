"""What is known of files is read some folders ahead, and never of more folders than fit in hand."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pytest

from service.core.stamp import stamp_of
from service.engine import known as module
from service.engine.known import Known, LargeFolder, SmallFolder
from service.ledger import collections, documents
from tests.engine.world import World

Asked = list[list[str]]


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Asked:
    """The folders of each query."""
    queries: Asked = []
    real = documents.files_in

    def noted(c: Any, source_id: int, folders: list[str]) -> Iterator[tuple[str, str, str]]:
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
        generation = collections.of_source(c, source.id).generation
    yield Known(world.ledger, source.id, counts, generation)


def vanished(known: Known, path: str, waiting: Sequence[str] = ()) -> list[str]:
    """What is known of a folder in which no file is left."""
    return sorted(known.folder(path, waiting).vanished())


def test_small_folders_share_a_query(world: World, asked: Asked) -> None:
    for n in range(5):
        world.write(f"{n}/x.txt", f"document number {n}")
    with ingested(world) as known:
        asked.clear()
        found = [vanished(known, f"{n}", [f"{after}" for after in range(4, n, -1)]) for n in range(5)]
        assert found == [["x.txt"]] * 5
        assert asked == [["0", "1", "2", "3", "4"]]


def test_a_large_folder_is_read_alone(world: World, asked: Asked, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_FILES_AHEAD", 3)
    for n in range(6):
        world.write(f"{n % 2}/{n}.txt", f"document number {n}")
    with ingested(world) as known:
        asked.clear()
        assert len(vanished(known, "0", ["1"])) == len(vanished(known, "1")) == 3
        assert asked == [["0"], ["1"]]


def test_nothing_is_asked_about_a_folder_without_known_files(world: World, asked: Asked) -> None:
    world.write("a/x.txt", "a document")
    with ingested(world) as known:
        asked.clear()
        assert vanished(known, "new", ["newer"]) == []
        assert asked == []


@pytest.mark.parametrize("large", [False, True])
def test_a_file_that_failed_has_no_stamp_to_rely_on(
    world: World, monkeypatch: pytest.MonkeyPatch, large: bool
) -> None:
    monkeypatch.setattr(module, "_LARGE_FILES", 0 if large else 100)
    stamp = stamp_of(world.write("a/x.txt", "DAMAGED beyond reading").stat())
    with ingested(world) as known:
        folder = known.folder("a")
        assert folder.has_failed
        assert folder.meet({"x.txt": stamp}) == {"x.txt": stamp}


@pytest.mark.parametrize("large", [False, True])
@pytest.mark.parametrize(
    "there", [{}, {"0.txt"}, {"1.txt", "6.txt", "new.txt"}, {f"{n}.txt" for n in range(7)}]
)
def test_what_a_listing_has_not_met_has_vanished(
    world: World, monkeypatch: pytest.MonkeyPatch, there: set[str], large: bool
) -> None:
    monkeypatch.setattr(module, "_LARGE_FILES", 2 if large else 100)
    monkeypatch.setattr(module, "_NAMES_AT_ONCE", 3)
    written = {f"{n}.txt" for n in range(7)}
    for name in written:
        world.write(f"a/{name}", f"document {name}")
    with ingested(world) as known:
        folder = known.folder("a")
        assert isinstance(folder, LargeFolder if large else SmallFolder)
        folder.meet(dict.fromkeys(there, "met"))
        assert sorted(folder.vanished()) == sorted(written - set(there))


@pytest.mark.parametrize("large", [False, True])
def test_only_what_is_known_with_its_very_stamp_is_the_same(
    world: World, monkeypatch: pytest.MonkeyPatch, large: bool
) -> None:
    monkeypatch.setattr(module, "_LARGE_FILES", 2 if large else 100)
    names = [f"{n}.txt" for n in range(7)]
    stamps = {name: stamp_of(world.write(f"a/{name}", f"document {name}").stat()) for name in names}
    with ingested(world) as known:
        folder = known.folder("a")
        assert not folder.has_failed
        assert folder.meet(stamps) == {}
        others = {"3.txt": "other", "new.txt": stamps["1.txt"]}
        assert folder.meet({**stamps, **others}) == others
