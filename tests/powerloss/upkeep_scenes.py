"""Scenes of maintenance: one task, a reindex job, a backup and its return."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from threading import Event
from typing import Any

from service.core.upkeep import Kind
from service.index.copies import require
from service.ledger import collections
from service.maintenance import departures
from service.maintenance.backup import back_up, listing
from service.maintenance.backup_file import LEDGER
from service.maintenance.generations import Generations, Turn
from service.maintenance.put_back import MARKER, put_back
from service.maintenance.reindex_order import Reindexing
from service.reader import Collection
from service.selftest.fake_embedder import FAKE_SPACE, FakeEmbedder
from service.selftest.victims import take_up
from tests.engine.stories import later_run
from tests.engine.world import World
from tests.powerloss.checking import check_the_same_end, check_what_was_promised, opened, seen
from tests.powerloss.recording import Promises
from tests.powerloss.scene import Scene, Step, Tell

OTHER = replace(FAKE_SPACE, model="fake@1", dimensions=24)
Ordered = Callable[[World], dict[str, Any]]


def a_collection(folder: Path) -> None:
    """Two jobs' work: segments, live files, merged segments."""
    later_run(folder)
    with opened(folder) as world:
        assert take_up(world)


def a_backup(folder: Path) -> None:
    """A collection's backup, and the data lost."""
    a_collection(folder)
    with opened(folder) as world:
        back_up(world.ledger, world.settings.data_dir, folder / "backups")
    shutil.rmtree(folder / "data")


def roll_back(world: World) -> dict[str, Any]:
    """To a generation with other segments."""
    return Generations(world.ledger).order("docs", Turn(5))


def withdraw(world: World) -> dict[str, Any]:
    """A document that shares its segment with others."""
    return departures.withdraw(world.orders, "docs", {"key": "library/b/y3.txt"})


def repair(world: World) -> dict[str, Any]:
    """Of what is not damaged."""
    return world.orders.place("docs", Kind.REPAIR)


def compact(world: World) -> dict[str, Any]:
    """A large merge, made just now."""
    with world.ledger.read() as c:
        row = collections.by_name(c, "docs")
    world.configure(merged_rows=row.vectors)
    task = world.merger.merge_one(row, Event())
    assert task is not None
    return world.orders.get(task.id)


def drop(world: World) -> dict[str, Any]:
    """The whole collection."""
    return departures.drop(world.orders, "docs")


def done(order: Ordered, kind: Kind, **before: Any) -> Step:
    """Order a task, and see it through; `before` is told first."""

    def act(folder: Path, tell: Tell) -> None:
        with opened(folder) as world:
            tell(**before)
            task = order(world)
            tell(task=task["id"])
            assert world.tend(task)["state"] == "done", world.orders.get(task["id"])
            tell(done=True)

    return Step(act)


def finished(order: Ordered, kind: Kind) -> Callable[[Path], None]:
    """Order it where nobody has heard of the order, and see it through."""

    def finish(folder: Path) -> None:
        with opened(folder) as world:
            found = [task for task in world.orders.listing("docs")["tasks"] if task["kind"] == kind]
            task = world.tend(found[0] if found else order(world))
            assert task["state"] == "done", task

    return finish


def _task(order: Ordered, kind: Kind) -> Scene:
    return Scene(a_collection, [done(order, kind)], finished(order, kind), check_the_same_end)


def promised_of_one_that_leaves(folder: Path, promises: Promises) -> None:
    """The order stays until it is done; readers find all or nothing; what is gone is gone."""
    files = folder / "data/collections/docs"
    if (files / "manifest.json").exists():
        list(Collection.open(files).rows())  # all of it, and not what is left of it
    assert not promises.told.get("done") or not files.exists()
    with opened(folder) as world:
        if "task" in promises.told:
            state = world.orders.get(promises.told["task"])["state"]
            assert not promises.told.get("done") or state == "done"


def check_that_it_is_gone(folder: Path) -> None:
    """Files and rows; its name can be used again."""
    assert not (folder / "data/collections/docs").exists()
    with opened(folder) as world:
        assert world.run()["state"] == "succeeded"
        assert world.contents() == world.expected()
        assert world.verify()["valid"]


def reindex(folder: Path, tell: Tell) -> None:
    """Move the collection to another model."""
    with opened(folder) as world:
        world.embedder = FakeEmbedder(OTHER)
        job = Reindexing(world.jobs).create("docs")["id"]
        tell(job=job)
        take_up_all(world)
        tell(state=world.jobs.get(job)["state"])


def reindex_again(folder: Path) -> None:
    """Order it where nobody has heard of it, and see it through."""
    with opened(folder) as world:
        world.embedder = FakeEmbedder(OTHER)
        with world.ledger.read() as c:
            space = collections.by_name(c, "docs").space
        if space["model"] != OTHER.model and Reindexing(world.jobs).unfinished("docs") is None:
            Reindexing(world.jobs).create("docs")
        take_up_all(world)


def make_backup(folder: Path, tell: Tell) -> None:
    """Two of them: the second shares files with the first."""
    for number in (1, 2):
        with opened(folder) as world:
            back_up(world.ledger, world.settings.data_dir, folder / "backups")
        tell(backups=number)


def check_the_backups(folder: Path, promises: Promises) -> None:
    """Whatever says that it is a backup comes back."""
    for source, _ in listing(folder / "backups"):
        _check_backup(folder, source)
    assert len(listing(folder / "backups")) >= promises.told.get("backups", 0)
    check_what_was_promised(folder, promises)


def back_up_again(folder: Path) -> None:
    """One more, beside whatever has been left."""
    with opened(folder) as world:
        back_up(world.ledger, world.settings.data_dir, folder / "backups")
    assert not list((folder / "data").glob(".backup-*"))


def check_the_newest_backup(folder: Path) -> None:
    """It comes back, and the collection has not suffered."""
    _check_backup(folder, listing(folder / "backups")[-1][0])
    check_the_same_end(folder)


def _check_backup(folder: Path, source: Path) -> None:
    back = folder / "back"
    put_back(source, back / "data")
    repaired(back)
    assert seen(back) == seen(folder)
    shutil.rmtree(back)


def restore(folder: Path, tell: Tell) -> None:
    """Bring a backup back, and publish what is in it."""
    put_back(listing(folder / "backups")[-1][0], folder / "data")
    tell(restored=True)
    repaired(folder)


def restore_again(folder: Path) -> None:
    """The same command again, where it has not come to its end."""
    data = folder / "data"
    if (data / MARKER).exists() or not (data / "tidestone.db").exists():
        put_back(listing(folder / "backups")[-1][0], data)
    repaired(folder)


def repaired(folder: Path) -> None:
    """What the restore command does last: the manifest is derived, and no backup has it."""
    finished(repair, Kind.REPAIR)(folder)


def promised_of_a_restore(folder: Path, promises: Promises) -> None:
    """What was told to be back is there, byte for byte, and in use."""
    if promises.told.get("restored"):
        data, (source, backup) = folder / "data", listing(folder / "backups")[-1]
        assert not (data / MARKER).exists(), f"the next start takes {source.name} for half restored"
        for file in backup.files:
            if file.path != LEDGER:
                require(data / file.path, file.sha256)
        repaired(folder)
        check_the_same_end(folder)


def take_up_all(world: World) -> None:
    """See every job through that has begun."""
    from service.core.job import Verb
    from service.engine.lease import Observer
    from service.engine.sweep import sweep

    sweep(world.ledger, Observer(0.0), world.settings)
    for job in world.jobs.listing()["jobs"]:
        if job["can"]["resume"]:
            world.jobs.ask(job["id"], Verb.RESUME)
    while world.worker(dead_seconds=0.0).take_one():
        pass


UPKEEP_SCENES = {
    "rollback": _task(roll_back, Kind.ROLLBACK),
    "withdraw": _task(withdraw, Kind.WITHDRAW),
    "compact": _task(compact, Kind.COMPACT),
    "drop": Scene(
        a_collection,
        [done(drop, Kind.DROP)],
        finished(drop, Kind.DROP),
        check_that_it_is_gone,
        promised_of_one_that_leaves,
    ),
    "reindex": Scene(a_collection, [Step(reindex)], reindex_again, check_the_same_end),
    "backup": Scene(
        a_collection, [Step(make_backup)], back_up_again, check_the_newest_backup, check_the_backups
    ),
    "restore": Scene(a_backup, [Step(restore)], restore_again, check_the_same_end, promised_of_a_restore),
}
