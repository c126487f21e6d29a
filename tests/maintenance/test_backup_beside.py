"""Backups beside whatever else goes on: a busy ledger, a deletion, another backup, an older one that has rotted."""

import os
import sqlite3
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from service import failpoints
from service.core.upkeep import Kind
from service.errors import Refused, TryAgain
from service.ledger import backup as ledger_copy
from service.ledger.database import Ledger
from service.maintenance import departures
from service.maintenance.backup import back_up, clear_dead, listing, look
from service.maintenance.put_back import put_back
from tests.engine.holding import Died
from tests.engine.world import World
from tests.faults.disks import small_disk


@pytest.fixture
def filled(world: World) -> World:
    for n in range(6):
        world.write(f"{n}.txt", f"document number {n} says this")
    world.run()
    return world


def test_a_ledger_is_copied_while_others_write_without_a_pause(
    filled: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SQLite begins a copy anew when another connection has written between two of its steps."""
    with filled.ledger.write() as c:
        c.exec_driver_sql("CREATE TABLE ballast (data)")
        c.exec_driver_sql("INSERT INTO ballast VALUES (zeroblob(20000000))")
    other, steps = Ledger.open(filled.ledger.url), list[int]()

    class Busy(sqlite3.Connection):
        def backup(self, target: sqlite3.Connection, **options: Any) -> None:  # type: ignore[override]
            super().backup(target, progress=self._write, **options)

        def _write(self, _status: int, remaining: int, _total: int) -> None:
            steps.append(remaining)
            assert len(steps) < 20, "it would never come to its end"
            with other.write() as c:
                c.exec_driver_sql("UPDATE leases SET beat = beat + 1")

    connect = partial(sqlite3.connect, factory=Busy)
    monkeypatch.setattr(ledger_copy.sqlite3, "connect", connect)
    ledger_copy.copy_ledger(filled.ledger, tmp_path / "copy.db")
    monkeypatch.undo()
    other.close()
    assert steps
    with closing(sqlite3.connect(tmp_path / "copy.db")) as copy:
        assert copy.execute("PRAGMA quick_check").fetchone() == ("ok",)
        assert copy.execute("SELECT count(*) FROM documents").fetchone() == (6,)


def test_a_damaged_ledger_is_not_backed_up(filled: World, tmp_path: Path) -> None:
    """SQLite copies a page as it is, whatever is in it."""
    file = filled.settings.data_dir / "tidestone.db"
    with closing(sqlite3.connect(file)) as ledger:
        ledger.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        page = ledger.execute("SELECT rootpage FROM sqlite_master WHERE name = 'documents'").fetchone()[0]
        size = ledger.execute("PRAGMA page_size").fetchone()[0]
    with file.open("r+b") as out:
        out.seek((page - 1) * size)
        out.write(b"\xff" * 200)
    with pytest.raises(Refused, match="The ledger is damaged"):
        back_up(filled.ledger, filled.settings.data_dir, tmp_path / "backups")
    assert list((tmp_path / "backups").iterdir()) == []


def test_a_collection_that_is_being_deleted_stops_no_backup(filled: World, tmp_path: Path) -> None:
    """Its files have gone, its rows have not."""
    filled.run(collection="other")

    class DiesThere:
        def reach(self, point: str) -> None:
            if point == "drop.emptied":
                raise Died

    task = departures.drop(filled.orders, "other")
    failpoints._armed = DiesThere()  # type: ignore[assignment]
    try:
        with pytest.raises(Died):
            filled.tend(task)
    finally:
        failpoints.arm("")
    made = back_up(filled.ledger, filled.settings.data_dir, tmp_path / "backups")
    assert set(made.backup.generations) == {"docs"}
    put_back(made.folder, tmp_path / "again/data")
    (tmp_path / "again/library").symlink_to(filled.library)
    again = World(tmp_path / "again")
    assert again.tend(task)["state"] == "done"
    assert again.contents() == again.expected()
    assert [row["collection"] for row in again.jobs.listing()["jobs"]] == ["docs"]
    again.ledger.close()


def test_an_older_backup_that_has_rotted_stops_no_new_one(filled: World, tmp_path: Path) -> None:
    into = tmp_path / "backups"
    sound, rotten = [back_up(filled.ledger, filled.settings.data_dir, into).folder for _ in range(2)]
    data = bytearray((rotten / "backup.json").read_bytes())
    data[20] ^= 1
    (rotten / "backup.json").write_bytes(data)
    newest = back_up(filled.ledger, filled.settings.data_dir, into)
    assert [path for path, _ in listing(into)] == [sound, newest.folder]
    told = dict(look(into))
    assert "is damaged" in str(told[rotten])
    shared = next(file.path for file in newest.backup.files if file.path.endswith(".faiss"))
    assert (newest.folder / shared).samefile(sound / shared)


def test_a_backup_that_does_not_fit_leaves_nothing(filled: World, tmp_path: Path) -> None:
    ledger_copy.copy_ledger(filled.ledger, tmp_path / "copy.db")
    ledger_bytes = (tmp_path / "copy.db").stat().st_size
    with small_disk(tmp_path / "small", 8 << 20) as disk:
        for free_bytes in (ledger_bytes // 2, ledger_bytes + 20_000):  # within the ledger, and after it
            disk.leave(free_bytes)
            with pytest.raises(TryAgain) as said:
                back_up(filled.ledger, filled.settings.data_dir, disk.path / "backups")
            assert said.value.reason == "disk_low"
            assert list((disk.path / "backups").iterdir()) == []
        disk.empty()
        back_up(filled.ledger, filled.settings.data_dir, disk.path / "backups")


def be_killed_in_a_backup(world: World, into: Path) -> None:
    class Ends:
        def reach(self, point: str) -> None:
            if point == "backup.taken":
                os._exit(0)

    child = os.fork()
    if child == 0:
        failpoints._armed = Ends()  # type: ignore[assignment]
        try:
            back_up(Ledger.open(world.ledger.url), world.settings.data_dir, into)
        finally:
            os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_a_purge_removes_what_a_killed_backup_kept(filled: World, tmp_path: Path) -> None:
    """Second names of every file, in the data folder itself, until the next backup: perhaps never."""
    be_killed_in_a_backup(filled, tmp_path / "backups")
    assert len(list(filled.settings.data_dir.glob(".backup-*"))) == 1
    done = filled.tend(filled.orders.place("docs", Kind.PURGE, {"key": "library/1.txt"}))
    assert done["result"]["verified"]
    assert not list(filled.settings.data_dir.glob(".backup-*"))


def test_a_collection_of_garbage_gives_back_the_room_of_a_killed_backup(
    filled: World, tmp_path: Path
) -> None:
    be_killed_in_a_backup(filled, tmp_path / "backups")
    assert filled.tend(filled.orders.place("docs", Kind.COLLECT))["state"] == "done"
    assert not list(filled.settings.data_dir.glob(".backup-*"))


def test_a_backup_that_begins_is_not_taken_for_a_dead_one(
    filled: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another looks for dead ones just when its folder has been made and nobody has locked it yet."""
    mkdir, looks = Path.mkdir, list[Path]()

    def then_another_looks(path: Path, *args: object, **kwargs: object) -> None:
        mkdir(path, *args, **kwargs)  # type: ignore[arg-type]
        if path.name.startswith(".backup-") and not looks:
            looks.append(path)
            clear_dead(filled.settings.data_dir)

    monkeypatch.setattr(Path, "mkdir", then_another_looks)
    made = back_up(filled.ledger, filled.settings.data_dir, tmp_path / "backups")
    assert looks
    assert not looks[0].exists()
    assert made.backup.files
