"""After a purge no byte of the data says what the document said, and no rollback brings it back."""

import hashlib
import json
import sqlite3
import zlib
from collections.abc import Iterator
from pathlib import Path
from threading import Event
from typing import Any

import pytest

from service.core.upkeep import Kind
from service.index import scratch
from service.ledger import collections
from service.maintenance import departures, keeper, purge
from service.maintenance.generations import Generations, Turn
from service.reader import Collection
from tests.engine.world import World

SECRET = "the admiral's secret"
CHANGED = 1_700_000_000


def texts_in(path: Path) -> Iterator[str]:
    """All that a file says, compressed or not."""
    data = path.read_bytes()
    yield data.decode(errors="replace")
    if ".chunks" in path.name:
        with sqlite3.connect(path) as database:
            for (text,) in database.execute("SELECT text FROM texts"):
                yield zlib.decompress(text).decode()


def who_says_it(world: World, words: str = SECRET) -> list[str]:
    """Files of the data folder that have the words, the ledger and its log included."""
    files = [path for path in world.settings.data_dir.rglob("*") if path.is_file()]
    return [path.name for path in files if any(words in text for text in texts_in(path))]


def vectors_of(world: World, text: str) -> list[str]:
    """Files that have the text's vector."""
    wanted = world.embedder.embed_query(text).tobytes()
    return [p.name for p in world.settings.data_dir.rglob("*") if p.is_file() and wanted in p.read_bytes()]


@pytest.fixture
def filled(world: World) -> World:
    """It was in as two versions, among others, in segments that are live and in such as are not any more."""
    world.configure(batch_size=3, merged_rows=24)
    for n in range(7):
        world.write(f"{n}.txt", f"document number {n}\n\nits second part {n}")
    world.write("3.txt", f"{SECRET} is a\n\nand its second part")
    lines = [{"id": str(n), "text": f"record {n}: {SECRET} is {n}"} for n in range(4)]
    world.write("log.jsonl", "\n".join(map(json.dumps, lines)))
    world.run()
    world.write("3.txt", f"{SECRET} is b\n\nand its second part", mtime=CHANGED)
    world.run()
    return world


def purged(world: World, key: str) -> dict[str, Any]:
    task = departures.withdraw(world.orders, "docs", {"key": key}, purge=True)
    return world.tend(task)


def generation(world: World) -> int:
    with world.ledger.read() as c:
        return int(collections.by_name(c, "docs").generation)


def without(world: World, *files: str) -> set[tuple[str, int, str]]:
    return {row for row in world.expected() if row[0].partition("#")[0] not in files}


def test_no_byte_says_it_any_more(filled: World) -> None:
    assert who_says_it(filled)
    assert vectors_of(filled, f"{SECRET} is a")
    purged(filled, "library/log.jsonl")
    done = purged(filled, "library/3.txt")
    assert (done["state"], done["result"]["verified"]) == ("done", True)
    assert done["result"]["segments_rewritten"] >= 2
    assert who_says_it(filled) == []
    assert vectors_of(filled, f"{SECRET} is a") == vectors_of(filled, f"{SECRET} is b") == []
    assert filled.contents() == without(filled, "library/3.txt", "library/log.jsonl")
    assert filled.verify()["valid"]
    filled.run()
    assert filled.contents() == without(filled, "library/3.txt", "library/log.jsonl")
    assert list((filled.files / "quarantine").iterdir()) == []


def test_not_even_a_free_page_has_the_compressed_text(world: World) -> None:
    text = "\n\n".join(hashlib.sha512(f"{SECRET} {n}".encode()).hexdigest() * 2 for n in range(12))
    world.write("large.txt", text)
    world.write("other.txt", "another document\n\nwith a second part")
    world.run()
    inside = zlib.compress(text.encode(), 1)[100:500]
    assert any(inside in path.read_bytes() for path in (world.files / "segments").iterdir())
    assert purged(world, "library/large.txt")["result"]["verified"]
    assert not any(inside in path.read_bytes() for path in (world.files / "segments").iterdir())


@pytest.mark.parametrize("revive", [False, True])
def test_no_rollback_brings_it_back(filled: World, revive: bool) -> None:
    before = generation(filled)
    purged(filled, "library/3.txt")
    for to in (before, 1):
        done = filled.tend(Generations(filled.ledger).order("docs", Turn(to, revive_deleted=revive)))
        assert (done["state"], done["error"]) == ("done", None)
        assert not any(row.key == "library/3.txt" for row in Collection.open(filled.files).rows())
        assert filled.verify()["valid"], filled.verify()
    filled.run()
    assert filled.contents() == without(filled, "library/3.txt")
    assert filled.verify()["valid"]


def test_restored_it_comes_in_from_its_file_and_a_rollback_is_true(filled: World) -> None:
    before = generation(filled)
    purged(filled, "library/3.txt")
    filled.tend(departures.restore(filled.orders, "docs", {"key": "library/3.txt"}))
    filled.run()
    assert filled.contents() == filled.expected()
    assert filled.verify()["valid"]
    filled.tend(Generations(filled.ledger).order("docs", Turn(before)))
    assert filled.verify()["valid"]
    assert not any(row.key == "library/3.txt" for row in Collection.open(filled.files).rows())
    filled.run()
    assert filled.contents() == filled.expected()


def test_a_large_merge_that_has_the_text_is_thrown_away(filled: World) -> None:
    purged(filled, "library/log.jsonl")
    task = departures.withdraw(filled.orders, "docs", {"key": "library/3.txt"}, purge=True)
    with filled.ledger.read() as c:
        row = collections.by_name(c, "docs")
    made = filled.merger.merge_one(row, Event())
    assert made is not None
    assert filled.tend(task)["result"]["verified"]
    assert filled.orders.get(made.id)["state"] == "failed"
    assert who_says_it(filled) == []


def test_while_a_merge_is_being_made_it_waits(filled: World) -> None:
    with scratch.only_merger(filled.files) as alone:
        assert alone
        waiting = purged(filled, "library/3.txt")
        assert (waiting["state"], waiting["error"]["code"]) == ("queued", "merging")
    assert not any(row.key == "library/3.txt" for row in Collection.open(filled.files).rows())


def test_what_is_in_quarantine_goes_too(filled: World) -> None:
    chunks = next(
        p for p in (filled.files / "segments").glob("*.chunks") if any(SECRET in t for t in texts_in(p))
    )
    quarantine = filled.files / "quarantine"
    for path in (chunks, chunks.with_suffix(".faiss")):
        (quarantine / path.name).write_bytes(path.read_bytes())
    (quarantine / "00000099-t1.chunks~2").write_bytes(b"not readable")
    (quarantine / "stranger").write_bytes(b"kept")
    purged(filled, "library/log.jsonl")
    purged(filled, "library/3.txt")
    assert [path.name for path in quarantine.iterdir()] == ["stranger"]


def emptied_segment(world: World) -> Path:
    """The file of vectors of one that only older generations need; every document in it has changed since."""
    world.configure(batch_size=3)
    for n in range(3):
        world.write(f"{n}.txt", f"{SECRET} is {n}")
    world.run()
    for n in range(3):
        world.write(f"{n}.txt", f"document number {n} is another", mtime=CHANGED)
    world.run()
    path = min((world.files / "segments").glob("*.faiss"))
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    return path


def test_a_damaged_file_of_an_older_generation_does_not_stop_a_purge(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Five tries met it, and the text stayed: nothing mends what is not live."""
    monkeypatch.setattr(keeper, "RETRY_SECONDS", 0.0)
    emptied_segment(world)
    task = purged(world, "library/1.txt")
    assert (task["state"], task["error"]["code"]) == ("queued", "corrupt")
    done = world.tend(task)
    assert done["state"] == "done", done["error"]
    assert done["result"]["verified"]
    assert who_says_it(world, f"{SECRET} is 1") == vectors_of(world, f"{SECRET} is 1") == []


@pytest.mark.parametrize("where", ["live", "older"])
def test_a_rotted_key_hides_nothing(filled: World, monkeypatch: pytest.MonkeyPatch, where: str) -> None:
    """Neither in a segment, nor in what its repair has put aside."""
    monkeypatch.setattr(keeper, "RETRY_SECONDS", 0.0)
    said = "b" if where == "live" else "a"
    [chunks] = [
        path
        for path in (filled.files / "segments").glob("*.chunks")
        if any(f"{SECRET} is {said}" in text for text in texts_in(path))
    ]
    chunks.write_bytes(chunks.read_bytes().replace(b"library/3.txt", b"library/3.txz"))
    task = purged(filled, "library/3.txt")
    for _ in range(4):
        if task["state"] == "queued":
            task = filled.tend(task)
    assert task["state"] == "done", task["error"]
    assert task["result"]["verified"]
    assert who_says_it(filled, f"{SECRET} is a") == who_says_it(filled, f"{SECRET} is b") == []


def test_vectors_that_were_put_aside_alone_go_too(world: World) -> None:
    """A repair puts aside what is damaged of a segment that is not live: not its chunks."""
    damaged = emptied_segment(world)
    assert world.tend(world.orders.place("docs", Kind.REPAIR))["state"] == "done"
    assert [path.name for path in (world.files / "quarantine").iterdir()] == [damaged.name]
    assert vectors_of(world, f"{SECRET} is 1")
    done = purged(world, "library/1.txt")
    assert done["result"]["quarantined_removed"] == [damaged.name]
    assert vectors_of(world, f"{SECRET} is 1") == []


@pytest.mark.parametrize("at", ["ledger", "removal", "forgetting"])
def test_a_purge_that_died_is_gone_on_with(filled: World, at: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def die(*_: Any) -> None:
        raise RuntimeError("the process ends here")

    task = departures.withdraw(filled.orders, "docs", {"key": "library/3.txt"}, purge=True)
    name = {"ledger": "_point_to", "removal": "_remove", "forgetting": "forget"}[at]
    with monkeypatch.context() as patched:
        patched.setattr(purge, name, die)
        filled.worker().tools.chores.serve_idle("first", filled.stop)
    assert filled.orders.get(task["id"])["state"] == "queued"
    with filled.ledger.write() as c:
        c.exec_driver_sql("UPDATE tasks SET not_before = NULL")
    assert filled.tend(task)["result"]["verified"]
    purged(filled, "library/log.jsonl")
    assert who_says_it(filled) == []
    assert filled.contents() == without(filled, "library/3.txt", "library/log.jsonl")
    assert filled.verify()["valid"]


def test_it_is_out_at_once_beside_a_job_and_purged_after_it() -> None:
    from service.core.upkeep import BESIDE_A_JOB

    assert Kind.WITHDRAW in BESIDE_A_JOB
    assert Kind.PURGE not in BESIDE_A_JOB


def test_a_merge_of_files_that_were_rewritten_meanwhile_is_not_taken_in(
    filled: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As one that was ordered by a process of its own between the purge's look and the end of the task."""
    with filled.ledger.read() as c:
        row = collections.by_name(c, "docs")
    made = filled.merger.merge_one(row, Event())
    assert made is not None
    duties, filled.duties = filled.duties, {Kind.PURGE: filled.duties[Kind.PURGE]}
    with monkeypatch.context() as patched:
        patched.setattr(purge, "_throw_merges_away", lambda work: None)
        purged(filled, "library/log.jsonl#1")
    filled.duties = duties
    done = filled.tend(filled.orders.get(made.id))
    assert done["result"] == {"taken": False, "why": "an input has been rewritten"}
    assert who_says_it(filled, f"record 1: {SECRET}") == []
