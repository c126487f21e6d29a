"""Folders as they stand when a phase begins, and damage that is done to them from outside."""

from pathlib import Path
from typing import Any

from service.core.upkeep import Kind
from service.ledger import segments, versions
from service.ledger.collections import by_name
from service.maintenance import departures
from service.maintenance.generations import Generations, Turn
from service.maintenance.reindex_order import Reindexing
from service.selftest.deeds import take_up
from service.selftest.documents import change, fill
from service.selftest.fake_embedder import OTHER_SPACE, FakeEmbedder
from service.selftest.keeping import back_up_once, lose_the_ledger
from service.selftest.world import OLD, World

_NOT_TEXT = b"\xff\xfe\x00 what is left of a text"
FORGETFUL = {"retain_jobs": 0, "retain_days": 0.0, "retain_checkpoints": 1, "gc_grace_seconds": 0.0}


def first(world: World) -> None:
    """An empty collection, and a job for a library of small, large and record files."""
    fill(world)
    world.jobs.create(world.order())


def later(world: World) -> None:
    """A collection, and a job that finds files added, changed, moved and removed, and records of each kind."""
    full(world)
    change(world)
    world.jobs.create(world.order())


def half_done(world: World) -> None:
    """As `later`, where some of a segment's rows are dead from before."""
    full(world)
    world.write("b/y3.txt", "b/y3, another text", OLD + 50)
    world.run()
    change(world)
    world.jobs.create(world.order())


def full(world: World) -> None:
    """A collection, and nothing to do."""
    fill(world)
    world.run()


def doubtful(world: World) -> None:
    """A collection, and a job that finds new files, one gone, one empty, and so many spoilt that the guard keeps all."""
    full(world)
    for path in sorted(world.library.rglob("*.txt"))[:4]:
        path.write_bytes(_NOT_TEXT)
    for path in sorted(world.library.rglob("*.jsonl")):
        path.write_text("".join(path.read_text().splitlines(keepends=True)[:1]))
    gone, emptied = sorted(world.library.rglob("*.txt"))[-2:]
    gone.unlink()
    emptied.write_text("")
    world.write("new.txt", "a document that is new\n\nits second part")
    world.jobs.create(world.order())


def doubtful_and_confirmed(world: World) -> None:
    """The same, and what was withheld is confirmed."""
    doubtful(world)
    take_up(world)
    world.write("newer.txt", "one more document\n\nits second part")
    [job] = world.jobs.listing(limit=1)["jobs"]
    digest = job["deletes_withheld"]["digest"]
    world.jobs.create(world.order(deletes="confirmed", deletes_digest=digest))


def crowded(world: World) -> None:
    """More segments than there may be from now on, some with dead rows, and a job with little to do."""
    world.configure(max_live_segments=64, segment_rows=4)
    full(world)
    world.write("a/x0.txt", "a/x0, another part\n\na/x0, one more", OLD + 100)
    world.jobs.create(world.order())


def to_be_repaired(world: World) -> None:
    """A collection whose repair is ordered."""
    full(world)
    world.orders.place("docs", Kind.REPAIR)


def merged_outside(world: World) -> None:
    """A large merge has been made outside the lease, and waits to be taken in."""
    full(world)
    assert world.merger.merge_one(_row(world), world.stop) is not None


def going_back(world: World) -> None:
    """A rollback is ordered, to before files were changed, added, moved and removed."""
    full(world)
    before = _row(world).generation
    change(world)
    world.run()
    Generations(world.ledger).order("docs", Turn(before))


def to_be_collected(world: World) -> None:
    """Files that no generation needs are noted, and a collection that may remove them is ordered."""
    world.configure(**FORGETFUL)
    full(world)
    change(world)
    world.run()
    world.tend(world.orders.place("docs", Kind.COLLECT))
    world.orders.place("docs", Kind.COLLECT)


def to_be_withdrawn(world: World) -> None:
    """A large document and a file with its records are to be taken out."""
    full(world)
    for key in ("library/large.txt", "library/c/r.jsonl"):
        departures.withdraw(world.orders, "docs", {"key": key})


def to_be_purged(world: World) -> None:
    """A document of which there are two versions is to be taken out of every generation."""
    full(world)
    change(world)
    world.run()
    departures.withdraw(world.orders, "docs", {"key": "library/large.txt"}, purge=True)


def backed_up(world: World) -> None:
    """A collection with a job that is half done by nobody, and a backup of it."""
    later(world)
    back_up_once(world)


def without_a_ledger(world: World) -> None:
    """All that is left of a collection is its folder."""
    full(world)
    lose_the_ledger(world)


def to_be_deleted(world: World) -> None:
    """The collection is to go; a last look at its library then makes another of its name."""
    full(world)
    departures.drop(world.orders, "docs")


def for_another_model(world: World) -> None:
    """The configured model is another one, and a job is to move the collection into its space."""
    full(world)
    world.embedder = FakeEmbedder(OTHER_SPACE)
    Reindexing(world.jobs).create("docs")


def litter(world: World) -> None:
    """Whatever else a start-up mends: a lost commit record, damaged live files and manifest, a stranger's file."""
    (world.files / "segments" / "stranger.faiss").write_bytes(b"unknown")
    (world.files / "manifest.json").write_bytes(b"{}")
    sorted((world.files / "commits").iterdir())[1].unlink()
    for row in _live(world):
        if row.live:
            flip(world.files / row.live["name"])


def flip_oldest_vectors(world: World) -> None:
    """A segment that is in use, with documents that nobody has touched, is damaged."""
    flip(world.files / _live(world)[0].faiss["name"])


def spoil_past_and_present(world: World) -> None:
    """A segment in use is damaged, and one that only older generations need; rows are alive that should not be."""
    flip_oldest_vectors(world)
    row = _row(world)
    with world.ledger.read() as c:
        live = {found.segment_id for found in segments.live(c, row.id)}
        past = [found for found in segments.past(c, row.id) if found.segment_id not in live]
    flip(world.files / past[0].chunks["name"])
    with world.ledger.write() as c:
        newest = max(versions.live(c, row.id), key=lambda version: version.last_batch)
        versions.close_spans(c, row.id, [newest.version_id], row.generation)


def flip(path: Path) -> None:
    """Change a byte in the middle of a file."""
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0x10
    path.write_bytes(data)


def _row(world: World) -> Any:
    with world.ledger.read() as c:
        return by_name(c, "docs")


def _live(world: World) -> list[Any]:
    with world.ledger.read() as c:
        return list(segments.live(c, by_name(c, "docs").id))
