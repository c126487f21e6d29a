"""Scenes after which something must be gone: files that nothing needs, a document that was purged, a collection."""

from pathlib import Path
from threading import Event
from typing import Any

from service.core.upkeep import Kind
from service.index.redact import rows_of
from service.ledger import collections, garbage, segments
from service.maintenance import departures
from service.maintenance.purge import ranges
from service.selftest.fake_embedder import FakeEmbedder
from service.selftest.scenes import FORGETFUL
from service.selftest.victims import take_up
from tests.engine.stories import later_run
from tests.engine.world import World
from tests.powerloss.checking import check_the_same_end, check_what_was_promised, opened
from tests.powerloss.recording import Promises
from tests.powerloss.scene import Scene, Step, Tell
from tests.powerloss.upkeep_scenes import a_collection, done, finished

PURGED = "library/large.txt"  # two versions, in several segments
SAID = "large, part 7 of it"  # a chunk of each


def with_garbage(folder: Path) -> None:
    """Files that nothing needs are noted."""
    later_run(folder)
    with opened(folder) as world:
        world.configure(**FORGETFUL)
        assert take_up(world)
        collect(world)
        with world.ledger.read() as c:
            assert garbage.listing(c, collections.by_name(c, "docs").id)


def collect(world: World) -> None:
    """Have everything removed that is due."""
    world.configure(**FORGETFUL)
    task = world.tend(world.orders.place("docs", Kind.COLLECT))
    assert task["state"] == "done", task


def collect_once(folder: Path, tell: Tell) -> None:
    """Order it, and see it through."""
    with opened(folder) as world:
        collect(world)
        tell(collected=True)


def collect_again(folder: Path) -> None:
    """As later collections do: the last one finds nothing to note, nor to remove."""
    with opened(folder) as world:
        for _ in range(3):
            collect(world)


def promised_of_a_collection(folder: Path, promises: Promises) -> None:
    """What was forgotten is gone, and nothing else."""
    check_what_was_promised(folder, promises)
    if promises.told.get("collected"):
        with opened(folder) as world, world.ledger.read() as c:
            known = segments.known_files(c, collections.by_name(c, "docs").id)
        assert _in_segments(folder) <= known, "what was removed and forgotten is back"


def check_that_only_what_is_needed_is_there(folder: Path) -> None:
    """No more files than generations have, neither in use nor put aside."""
    check_the_same_end(folder)
    with opened(folder) as world, world.ledger.read() as c:
        needed = segments.needed_files(c, collections.by_name(c, "docs").id)
    assert _in_segments(folder) == needed
    assert not list((folder / "data/collections/docs/quarantine").iterdir())


def _in_segments(folder: Path) -> set[str]:
    return {f"segments/{path.name}" for path in (folder / "data/collections/docs/segments").iterdir()}


def with_a_copy_put_aside(folder: Path) -> None:
    """Quarantine has texts too."""
    a_collection(folder)
    docs = folder / "data/collections/docs"
    for path in sorted((docs / "segments").glob("*.chunks")):
        if rows_of(path, ranges(PURGED)):
            (docs / "quarantine" / path.name).write_bytes(path.read_bytes())


def purge(world: World) -> dict[str, Any]:
    """While a large merge of the old files waits to be taken in."""
    task = departures.withdraw(world.orders, "docs", {"key": PURGED}, purge=True)
    with world.ledger.read() as c:
        row = collections.by_name(c, "docs")
    world.configure(merged_rows=row.vectors)
    assert world.merger.merge_one(row, Event()) is not None
    return task


def purge_again(folder: Path) -> None:
    """Order it where nobody has heard of the order, and see it through."""
    with opened(folder) as world:
        if any(task["kind"] == Kind.PURGE for task in world.orders.listing("docs")["tasks"]):
            finished(purge, Kind.PURGE)(folder)
            return
        task = world.tend(departures.withdraw(world.orders, "docs", {"key": PURGED}, purge=True))
        assert task["state"] == "done", task


def promised_of_a_purge(folder: Path, promises: Promises) -> None:
    """Once it is done, no file has the text or a vector of it, wherever it lies."""
    if promises.told.get("done"):
        check_that_nothing_has_it(folder)
    check_what_was_promised(folder, promises)
    with opened(folder) as world, world.ledger.read() as c:
        needed = segments.needed_files(c, collections.by_name(c, "docs").id)
    assert needed <= _in_segments(folder), "an earlier generation has lost a file"


def check_that_nothing_has_it(folder: Path) -> None:
    """Every file of the data folder is looked into."""
    vector = FakeEmbedder().embed_query(SAID).tobytes()
    for path in (path for path in (folder / "data").rglob("*") if path.is_file()):
        where = str(path.relative_to(folder))
        content = path.read_bytes()
        assert vector not in content, f"a vector of it is in {where}"
        assert SAID.encode() not in content, f"its text is in {where}"
        if content.startswith(b"SQLite") and ".chunks" in path.name:
            assert not rows_of(path, ranges(PURGED)), f"its text is in {where}"


def check_the_end_of_a_purge(folder: Path) -> None:
    """As where nothing was interrupted."""
    check_the_same_end(folder)
    check_that_nothing_has_it(folder)


LEAVING_SCENES = {
    "collect": Scene(
        with_garbage,
        [Step(collect_once)],
        collect_again,
        check_that_only_what_is_needed_is_there,
        promised_of_a_collection,
    ),
    "purge": Scene(
        with_a_copy_put_aside,
        [done(purge, Kind.PURGE)],
        purge_again,
        check_the_end_of_a_purge,
        promised_of_a_purge,
    ),
}
