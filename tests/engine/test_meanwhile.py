"""What is committed while a source is listed does not look as if it had vanished from it."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from service.ledger import collections, documents
from service.ports import Folder
from service.sources.library import Library
from tests.engine.world import World


class Meanwhile:
    """A library in which something happens just before one of its folders is listed."""

    def __init__(self, library: Library, folder: str, act: Callable[[], None]) -> None:
        self._library, self._folder, self._act = library, folder, act

    def scan(self, folder: str, pulse: Callable[[], None]) -> Iterator[Folder]:
        if folder == self._folder:
            self._act()
        return self._library.scan(folder, pulse)

    def locate(self, folder: str, name: str) -> Path:
        return self._library.locate(folder, name)


def commit_a_document(world: World, folder: str) -> None:
    """As a commit of the same source would: a new document in the next generation."""
    texts = dict.fromkeys(("stamp", "file_sha256", "content_sha256", "recipe"), "")
    with world.ledger.write() as c:
        row = collections.by_name(c, "docs")
        source = collections.find_source(c, row.id, "library", "library")
        assert source is not None
        where = {"folder": folder, "name": "new.txt", "record": "", "key": f"library/{folder}/new.txt"}
        number = collections.reserve(c, row.id, "next_doc_id", 1)
        values: dict[str, Any] = {"state": "pending", "updated_at": "", "generation": row.generation + 1}
        new = {"collection_id": row.id, "doc_id": number, "source_id": source.id, **where, **texts, **values}
        documents.save(c, [new], [])


@pytest.mark.parametrize("folder", ["kept", "gone"])
def test_what_is_committed_during_a_listing_is_not_taken_for_vanished(world: World, folder: str) -> None:
    for n in range(10):
        world.write(f"kept/x{n}.txt", f"document number {n}")
    old = world.write("gone/old.txt", "a document whose folder will be gone")
    world.run()
    old.unlink()
    old.parent.rmdir()
    library = Library(world.library)
    world.open_source = lambda _: Meanwhile(library, "kept", lambda: commit_a_document(world, folder))
    assert world.run()["progress"]["deleted"] == 1
    with world.ledger.read() as c:
        row = documents.by_key(c, collections.by_name(c, "docs").id, f"library/{folder}/new.txt")
    assert row is not None
    assert row.state == "pending"
