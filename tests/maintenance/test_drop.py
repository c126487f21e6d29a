"""A collection is deleted: nothing of it is left, and a new one of its name is safe from whoever held the old one."""

import json
import os
from dataclasses import replace
from pathlib import Path
from threading import Event, Thread
from typing import Any

import pytest
from sqlalchemy import func, select

from service.core.job import Verb
from service.core.upkeep import Kind
from service.engine import recover as recovering
from service.engine.holding import Holding
from service.engine.lease import Lease, Observer, Wanted
from service.engine.publish import publish
from service.engine.recover import recover
from service.engine.sweep import sweep
from service.errors import Conflict, IllegalMove, LeaseLost, NotFound, Refused, TryAgain
from service.index import manifest
from service.index.demolish import remove_folder
from service.ledger import collections, dropping, segments, tasks
from service.ledger.database import store_identity
from service.ledger.schema import metadata
from service.maintenance import departures
from service.reader import Collection
from tests.engine.world import World
from tests.running import wait_for

KEPT = {"collections", "idempotency", "metrics", "names", "store", "tasks", "workers", "events"}


def fill(world: World, word: str = "document") -> None:
    for n in range(4):
        world.write(f"{n}.txt", f"{word} number {n}\n\nits second part {n}", mtime=1_600_000_000 + len(word))
    world.write("log.jsonl", json.dumps({"id": "1", "text": f"a record, a {word}"}))
    world.run()


@pytest.fixture
def filled(world: World) -> World:
    fill(world)
    return world


def drop(world: World) -> dict[str, Any]:
    return world.tend(departures.drop(world.orders, "docs"))


def row_of(world: World, name: str = "docs") -> Any:
    with world.ledger.read() as c:
        return collections.by_name(c, name)


def left(world: World) -> dict[str, int]:
    """Table -> rows, of the tables that have any."""
    with world.ledger.read() as c:
        counts = {
            t.name: c.execute(select(func.count()).select_from(t)).scalar_one()
            for t in metadata.sorted_tables
        }
    return {name: count for name, count in counts.items() if count and name not in KEPT - {"collections"}}


def holding_of(world: World, holder: str = "somebody") -> Holding:
    row = row_of(world)
    lease = Lease.take(world.ledger, Observer(0.0), Wanted(row.id), world.files, holder)
    assert lease is not None
    with world.ledger.write() as c:
        store_id = store_identity(c).store_id
    return Holding.of(world.ledger, world.settings, lease, store_id)


def test_nothing_is_left_of_it_but_the_receipt(filled: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dropping, "ROWS_AT_ONCE", 2)
    (filled.files / "quarantine").mkdir(exist_ok=True)
    (filled.files / "quarantine" / "odd").write_bytes(b"unknown")
    done = drop(filled)
    assert done["state"] == "done"
    assert done["result"]["bytes"] > 0
    assert filled.orders.get(done["id"]) == done
    assert not filled.files.exists()
    assert left(filled) == {}
    with pytest.raises(NotFound):
        row_of(filled)


def test_created_again_neither_generations_nor_tokens_start_again(filled: World) -> None:
    reader = Collection.open(filled.files)
    last = row_of(filled).generation
    token = holding_of(filled).lease.token
    with filled.ledger.write() as c:
        c.exec_driver_sql("UPDATE leases SET holder = ''")
    drop(filled)
    assert {row.text for row in reader.rows()}, "an open reader keeps what it has"
    fill(filled, "new thing")
    again = row_of(filled)
    assert again.generation > last
    assert {int(path.name.partition("-t")[2].split(".")[0]) for path in (filled.files / "segments").iterdir()}
    assert all(int(path.stem.partition("-t")[2]) > token for path in (filled.files / "commits").iterdir())
    assert filled.contents() == filled.expected()
    assert filled.verify()["valid"]
    assert reader.refresh()
    assert {(row.key, row.ordinal, row.text) for row in reader.rows()} == filled.expected()


def test_from_the_order_on_nothing_else_can_be_ordered(filled: World) -> None:
    queued = filled.jobs.create(filled.order())
    first = departures.drop(filled.orders, "docs")
    assert departures.drop(filled.orders, "docs")["id"] == first["id"]
    job = filled.jobs.get(queued["id"])
    assert job["state"] == "cancelled"
    assert not any(job["can"].values())
    with pytest.raises(Conflict, match="is being deleted"):
        filled.jobs.create(filled.order())
    with pytest.raises(Conflict, match="is being deleted"):
        filled.orders.place("docs", Kind.REPAIR)
    with pytest.raises(IllegalMove, match="being deleted"):
        filled.jobs.ask(queued["id"], Verb.RETRY)


def test_a_job_at_work_is_cancelled_and_finishes_its_commit_first(world: World) -> None:
    for n in range(300):
        world.write(f"{n:03}.txt", f"document number {n}")
    job = world.jobs.create(world.order())
    task: dict[str, Any] = {}

    def ordering(given: Any) -> None:
        if not task and len(world.preparer.prepared) > 20:
            task.update(departures.drop(world.orders, "docs"))

    world.preparer.before = ordering
    worker = world.worker()
    thread = Thread(target=worker.run)
    thread.start()
    try:
        wait_for(lambda: task and world.orders.get(task["id"])["state"] == "done")
    finally:
        world.stop.set()
        thread.join()
    assert left(world) == {}
    with pytest.raises(NotFound):
        world.jobs.get(job["id"])
    sweep(world.ledger, Observer(), world.settings)


@pytest.mark.parametrize("at", ["unpublished", "half", "rows", "names"])
def test_begun_anew_after_a_death_anywhere(filled: World, at: str, monkeypatch: pytest.MonkeyPatch) -> None:
    class Died(Exception):
        pass

    def die(*_: Any) -> None:
        raise Died

    task = departures.drop(filled.orders, "docs")
    with monkeypatch.context() as patched:
        if at == "unpublished":
            patched.setattr("service.index.demolish._empty", die)
        elif at == "half":
            patched.setattr("service.index.demolish._remove_empty", die)
        elif at == "rows":
            patched.setattr(dropping, "steps", lambda _: [die])
        else:
            patched.setattr(collections, "remember", die)
        filled.worker().tools.chores.serve_idle("first", filled.stop)
    assert filled.orders.get(task["id"])["state"] == "queued"
    assert not (filled.files / "manifest.json").exists()
    with filled.ledger.write() as c:
        c.exec_driver_sql("UPDATE tasks SET not_before = NULL")
    assert filled.tend(task)["state"] == "done"
    assert (left(filled), filled.files.exists()) == ({}, False)


def test_a_folder_that_is_anothers_is_left_alone(filled: World) -> None:
    identity = filled.files / "collection.json"
    mine, files = identity.read_bytes(), sorted(filled.files.rglob("*"))
    for held in (None, mine.replace(row_of(filled).id.encode(), b"0" * 32)):
        commits = sorted((filled.files / "commits").iterdir())
        if held is None:
            identity.unlink()
            records = {path: path.read_bytes() for path in commits}
            commits[-1].write_bytes(b"{}")
            refused = drop(filled)
            assert refused["error"]["code"] == "refused"
            for path, data in records.items():
                path.write_bytes(data)
            identity.write_bytes(mine)
        with pytest.raises(Refused):
            remove_folder(filled.files, "0" * 32, "another store", False, lambda: None)
    assert sorted(filled.files.rglob("*")) == files
    assert drop(filled)["state"] == "done"


def test_who_was_frozen_with_the_old_one_cannot_touch_the_new_one(filled: World) -> None:
    """Its lease and its writes are void, what it removes is not there, and it judges nobody's files."""
    frozen = holding_of(filled)
    demolisher = os.open(filled.files, os.O_RDONLY)
    drop_in_another_process(filled)
    fill(filled, "new thing")
    contents, names = filled.contents(), sorted(filled.files.rglob("*"))
    with pytest.raises((NotFound, LeaseLost)):
        publish(frozen.ledger, frozen.lease, frozen.state)
    with pytest.raises((LeaseLost, Refused)):
        recover(frozen.ledger, frozen.lease, frozen.state)
    with pytest.raises(Refused):
        remove_folder(filled.files, frozen.state.id, frozen.state.store_id, True, lambda: None)
    assert os.listdir(demolisher) == []
    os.close(demolisher)
    frozen.lease.release()
    assert sorted(path for path in filled.files.rglob("*")) == names
    assert filled.contents() == contents == filled.expected()
    filled.run()
    assert filled.verify()["valid"]


def test_who_was_frozen_while_it_published_replaces_nothing(
    filled: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It held the lock of a folder that is gone, and what it was about to write is newer than what is there."""
    old = manifest.read_manifest(filled.files)
    assert old is not None
    published = []

    def meanwhile(*_: Any) -> bool:
        monkeypatch.undo()
        drop_in_another_process(filled)
        fill(filled, "new thing")
        published.append((filled.files / "manifest.json").read_bytes())
        return True

    monkeypatch.setattr(manifest, "_supersedes", meanwhile)
    with pytest.raises(TryAgain, match="made anew"):
        manifest.publish(filled.files, replace(old, generation=1000))
    assert (filled.files / "manifest.json").read_bytes() == published[0]


def test_who_was_frozen_while_it_cleaned_up_leaves_its_successors_files_alone(
    filled: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    frozen = holding_of(filled)
    with filled.ledger.read() as c:
        known = segments.known_files(c, frozen.state.id)
        names = segments.names_of_checkpoints(c, frozen.state.id)
    filled.jobs.create(filled.order())
    filled.write("new.txt", "what the successor brings in")
    assert filled.worker(dead_seconds=0.0).take_one()
    files = sorted(filled.files.rglob("*"))
    monkeypatch.setattr(segments, "known_files", lambda *_: known)
    monkeypatch.setattr(segments, "names_of_checkpoints", lambda *_: names)
    recovering._remove_orphans(frozen.ledger, frozen.lease, frozen.state)
    monkeypatch.undo()
    assert sorted(filled.files.rglob("*")) == files
    assert filled.contents() == filled.expected()


def drop_in_another_process(world: World) -> None:
    """As another keeper does that takes the frozen one for dead."""
    task = departures.drop(world.orders, "docs")
    keeper = world.keeper(dead_seconds=0.0)
    assert keeper.serve_collection(row_of(world).id, "another", Event())
    assert world.orders.get(task["id"])["state"] == "done"


def test_a_worker_that_read_a_job_before_its_collection_went_makes_nothing_of_it(filled: World) -> None:
    job = filled.jobs.create(filled.order())
    with filled.job_row(job["id"]) as row:
        pass
    drop(filled)
    assert not filled.worker().try_job(row)
    assert list(Path(filled.settings.data_dir, "collections").rglob("*.json")) == []
    fill(filled, "new thing")
    assert filled.contents() == filled.expected()


def test_other_collections_keep_everything(filled: World) -> None:
    filled.jobs.create(filled.order(collection="other"))
    filled.worker().take_one()
    other = row_of(filled, "other")
    drop(filled)
    with filled.ledger.read() as c:
        assert collections.by_name(c, "other") == other
        assert not tasks.collections_with_open(c)
    kept = Collection.open(filled.settings.folder("other"))
    assert {(row.key, row.ordinal, row.text) for row in kept.rows()} == filled.expected()


def test_what_a_link_stands_for_is_for_somebody_to_remove(filled: World) -> None:
    """Somebody has moved the folder to a larger disk."""
    elsewhere = filled.folder / "elsewhere"
    filled.files.rename(elsewhere)
    filled.files.symlink_to(elsewhere)
    refused = drop(filled)
    assert refused["state"] == "failed"
    assert "is a link" in refused["error"]["message"]
    assert (elsewhere / "manifest.json").exists()
    filled.files.unlink()
    assert drop(filled)["state"] == "done"
