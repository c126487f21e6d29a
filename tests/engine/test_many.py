"""Files of many records, and folders of many files, of which only a part is in memory at a time."""

import json
from typing import Any

import numpy as np
import pytest

from service.core import pace
from service.engine import known, known_file, recall, reuse
from service.engine.commit import Committer
from service.engine.known_file import KnownFile
from service.engine.lease import Observer
from service.engine.open_item import OpenItem
from service.engine.sweep import sweep
from service.index.commit_record import read_chain
from service.ledger import collections, documents
from service.reader import Collection
from service.sources import library
from tests.engine.holding import Died, newest
from tests.engine.world import OLD, World

pytestmark = pytest.mark.usefixtures("quick")

MANY = 5  # more than this are many, in these tests


@pytest.fixture(autouse=True)
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is many begins early."""
    monkeypatch.setattr(known_file, "_FEW_RECORDS", MANY)
    monkeypatch.setattr(known, "_LARGE_FILES", MANY)
    monkeypatch.setattr(known, "_NAMES_AT_ONCE", MANY)
    monkeypatch.setattr(library, "_PART_FILES", MANY)
    monkeypatch.setattr(library, "_PULSE_EVERY", 1)
    monkeypatch.setattr(pace, "MOST_CHANGES", MANY)


def put(world: World, texts: dict[str, str], later: int = 0) -> None:
    lines = (json.dumps({"id": name, "text": text}) for name, text in texts.items())
    world.write("records.jsonl", "\n".join(lines), OLD + later)


def so_many_others(world: World) -> None:
    """Beside them, a file that becomes empty is not a fifth of all that there is."""
    lines = (json.dumps({"id": f"m{n}", "text": f"one more record, number {n}"}) for n in range(140))
    world.write("more.jsonl", "\n".join(lines))


def numbered(first: int, beyond: int, text: str = "record number") -> dict[str, str]:
    return {f"r{n}": f"{text} {n}" for n in range(first, beyond)}


def ids(world: World) -> dict[str, int]:
    """Key -> doc_id of every document, deleted or not."""
    with world.ledger.read() as c:
        collection = collections.by_name(c, "docs").id
        rows = [*documents.records_of(c, collection, "library/records.jsonl", limit=1000)]
        rows += documents.listing(c, collection, limit=1000)
    return {row.key: row.doc_id for row in rows}


def test_of_many_records_only_those_that_changed_are_made_again(world: World) -> None:
    put(world, numbered(0, 20))
    world.run()
    before = ids(world)
    world.embedder.texts.clear()
    put(world, {**numbered(0, 16), "r3": "record three has changed", **numbered(30, 32)}, 100)
    job = world.run()
    assert sorted(world.embedder.texts) == [
        "record number 30",
        "record number 31",
        "record three has changed",
    ]
    assert (job["state"], job["progress"]["deleted"]) == ("succeeded", 4)
    assert world.contents() == world.expected()
    assert world.verify()["valid"], world.verify()
    put(world, numbered(0, 20), 200)
    world.run()
    assert world.contents() == world.expected()
    assert ids(world).items() >= before.items(), "a record that came back is another document"


def test_two_of_many_records_with_one_name_are_two_documents(world: World) -> None:
    lines = [json.dumps({"id": "same", "text": f"record number {n}"}) for n in range(12)]
    world.write("records.jsonl", "\n".join(lines))
    world.run()
    assert len(world.contents()) == 12
    world.write("records.jsonl", "\n".join([*lines, ""]), OLD + 100)
    job = world.run()
    assert (job["progress"]["chunks"], len(world.contents())) == (0, 12)


@pytest.mark.parametrize("rest", [{}, numbered(40, 42), numbered(3, 4)], ids=["nothing", "others", "one"])
def test_many_records_that_a_file_has_no_more_leave_in_short_commits(
    world: World, rest: dict[str, str]
) -> None:
    so_many_others(world)
    put(world, numbered(0, 33))
    world.run()
    put(world, rest, 100)
    job = world.run()
    assert (job["state"], job["progress"]["deleted"]) == ("succeeded", 33 - ("r3" in rest))
    assert world.contents() == world.expected()
    sizes = [len(record.versions_retired) for record in read_chain(world.files).records]
    assert max(sizes) <= MANY
    assert world.verify()["valid"], world.verify()
    assert world.run()["progress"]["unchanged"] == 2


@pytest.mark.parametrize("commits", [1, 2, 4, 7])
@pytest.mark.parametrize("rest", [{}, numbered(40, 42)], ids=["nothing", "others"])
def test_a_death_while_records_leave_loses_none_when_their_file_is_put_back(
    world: World, monkeypatch: pytest.MonkeyPatch, rest: dict[str, str], commits: int
) -> None:
    so_many_others(world)
    put(world, numbered(0, 33))
    world.run()
    put(world, rest, 100)
    die_after(world, monkeypatch, commits)
    put(world, numbered(0, 33))
    assert resumed(world)["state"] == "succeeded"
    assert world.run()["state"] == "succeeded", "what was settled before the death is listed again here"
    assert world.contents() == world.expected()
    assert world.verify()["valid"], world.verify()


@pytest.mark.parametrize("commits", [1, 2, 4, 7])
def test_a_death_while_the_records_of_a_vanished_file_leave_keeps_none(
    world: World, monkeypatch: pytest.MonkeyPatch, commits: int
) -> None:
    for n in range(200):
        world.write(f"x/{n}.txt", f"document number {n}")
    put(world, numbered(0, 33))
    world.run(batch_size=300)
    (world.library / "records.jsonl").unlink()
    die_after(world, monkeypatch, commits)
    job = resumed(world)
    assert job["state"] == "succeeded"
    assert world.contents() == world.expected()
    assert world.verify()["valid"], world.verify()


def die_after(world: World, monkeypatch: pytest.MonkeyPatch, commits: int) -> None:
    real, left = Committer.commit, [commits]

    def commit(self: Committer, *given: Any, **changes: Any) -> int:
        generation = real(self, *given, **changes)
        left[0] -= 1
        if left[0] == 0:
            raise Died
        return generation

    with monkeypatch.context() as patched:
        patched.setattr(Committer, "commit", commit)
        world.jobs.create(world.order())
        with pytest.raises(Died):
            world.worker().take_one()


def resumed(world: World) -> dict[str, Any]:
    assert sweep(world.ledger, Observer(), world.settings) == 1
    return world.resume(newest(world)["id"])


def test_a_file_whose_name_looks_like_a_record_s_is_another_document(world: World) -> None:
    world.write("a.jsonl", '{"id": "r1", "text": "the record in the file"}')
    world.write("a.jsonl#r1", "the file of that name")
    world.write("C#/a%23.txt", "signs in a folder's name")
    assert world.run()["state"] == "succeeded"
    assert {(key, text) for key, _, text in world.contents()} == {
        ("library/a.jsonl#r1", "the record in the file"),
        ("library/a.jsonl%23r1", "the file of that name"),
        ("library/C%23/a%2523.txt", "signs in a folder's name"),
    }
    assert world.run()["progress"]["unchanged"] == 3
    (world.library / "a.jsonl").unlink()
    world.run(deletes="confirmed", deletes_digest=world.run()["deletes_withheld"]["digest"])
    assert {key for key, _, _ in world.contents()} == {"library/a.jsonl%23r1", "library/C%23/a%2523.txt"}


def test_a_folder_of_many_files_is_compared_part_by_part(world: World) -> None:
    for n in range(40):
        world.write(f"flat/{n}.txt", f"document number {n}")
    world.write("flat/damaged.txt", "DAMAGED beyond reading")
    assert world.run()["progress"]["done"] == 40
    job = world.run()
    assert (job["progress"]["unchanged"], job["progress"]["known_failed"]) == (40, 1)
    world.embedder.texts.clear()
    for n in (3, 17):
        (world.library / f"flat/{n}.txt").unlink()
    world.write("flat/20.txt", "document twenty has changed", OLD + 100)
    world.write("flat/new.txt", "a new document is here")
    job = world.run()
    told = {name: job["progress"][name] for name in ("done", "deleted", "unchanged", "known_failed")}
    assert told == {"done": 2, "deleted": 2, "unchanged": 37, "known_failed": 1}
    assert sorted(world.embedder.texts) == ["a new document is here", "document twenty has changed"]
    assert world.contents() == world.expected()


def test_many_files_of_a_vanished_folder_leave(world: World) -> None:
    for n in range(70):
        world.write(f"{'gone' if n < 12 else 'kept'}/{n}.txt", f"document number {n}")
    world.run(batch_size=100)
    for path in (world.library / "gone").iterdir():
        path.unlink()
    (world.library / "gone").rmdir()
    assert world.run()["progress"]["deleted"] == 12
    assert world.contents() == world.expected()


def test_a_hundred_thousand_records_of_one_name_are_named_at_once(world: World) -> None:
    item = OpenItem(None, KnownFile(world.ledger, "", "library/a.csv", None))  # type: ignore[arg-type]
    names = {item.name_record("same") for _ in range(100_000)} | {item.name_record("same~7")}
    assert len(names) == 100_001
    assert {"same", "same~2", "same~100000", "same~7~2"} <= names


def test_a_very_large_document_that_was_edited_costs_its_changed_chunks_only(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of its vectors fewer can be kept than it has chunks."""
    monkeypatch.setattr(recall, "_MOST_LEARNT", 10)
    monkeypatch.setattr(reuse, "MOST_KEPT", 100)
    world.configure(segment_rows=70)
    parts = [f"paragraph {n}" for n in range(400)]
    world.write("large.txt", "\n\n".join(parts))
    world.run()
    world.embedder.texts.clear()
    edited = ["a new beginning", *parts[:200], "in the middle", *parts[201:399], "a new end"]
    world.write("large.txt", "\n\n".join(edited), OLD + 100)
    job = world.run()
    assert sorted(world.embedder.texts) == ["a new beginning", "a new end", "in the middle"]
    assert job["progress"]["chunks_reused"] == len(edited) - 3
    assert world.contents() == world.expected()
    rows = {row.text: row.vector for row in Collection.open(world.files).rows()}
    assert all(np.array_equal(rows[text], world.embedder.embed_query(text)) for text in edited)
