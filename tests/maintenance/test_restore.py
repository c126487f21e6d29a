"""What a restore may meet: a list that was forged, what a killed attempt left, and nobody to publish."""

import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from hashlib import sha256
from pathlib import Path
from threading import Event

import pytest

from service import failpoints
from service.errors import BadRequest, Conflict
from service.index.sealed import seal, unseal
from service.ledger import collections
from service.maintenance import put_back as restoring
from service.maintenance.backup import back_up
from service.maintenance.put_back import put_back
from tests.engine.holding import Died
from tests.engine.world import World

Backups = tuple[Path, Path]


@pytest.fixture
def backups(world: World, tmp_path: Path) -> Backups:
    """An older one and a much larger one."""
    world.configure(batch_size=100)
    made = []
    for first, last in ((0, 30), (30, 300)):
        for n in range(first, last):
            world.write(f"{n}.txt", f"document number {n} says this")
        world.run()
        made.append(back_up(world.ledger, world.settings.data_dir, tmp_path / "backups").folder)
    return made[0], made[1]


def test_a_list_that_names_files_elsewhere_is_refused(backups: Backups, tmp_path: Path) -> None:
    """Where they are is for the person who restores to say, not for the backup."""
    mine, listed = tmp_path / "mine.txt", backups[0] / "backup.json"
    mine.write_text("mine")
    for place in (backups[0] / "mine.txt", backups[0].parent / "mine.txt"):
        place.write_text("forged")
    values = unseal(listed.read_bytes())
    for path in ("../mine.txt", "collections/../../mine.txt", str(mine), "mine.txt"):
        forged = {"path": path, "sha256": sha256(b"forged").hexdigest(), "bytes": 6}
        listed.write_bytes(seal({**values, "files": [*values["files"], forged]}))
        with pytest.raises(BadRequest, match="is no file of a backup"):
            put_back(backups[0], tmp_path / "again")
        assert mine.read_text() == "mine"
        assert not (tmp_path / "again").exists()


def in_a_child(act: Callable[[], None]) -> None:
    """Do it in a process that ends there."""
    child = os.fork()
    if child == 0:
        try:
            act()
        finally:
            os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_what_an_attempt_with_another_backup_left_does_not_get_into_the_ledger(
    backups: Backups, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was killed while it changed its ledger's copy: SQLite's journal says how to undo that."""

    def die_in_the_middle() -> None:
        def fence(c) -> None:  # type: ignore[no-untyped-def]
            c.exec_driver_sql("PRAGMA cache_size = 1")  # pages go to the file before the commit
            c.exec_driver_sql("UPDATE documents SET title = 'another'")
            os._exit(0)

        monkeypatch.setattr(restoring.ledger_copy, "fence", fence)
        put_back(backups[1], tmp_path / "again")

    in_a_child(die_in_the_middle)
    assert (tmp_path / "again/tidestone.db.new-journal").exists()
    put_back(backups[0], tmp_path / "again")
    with closing(sqlite3.connect(tmp_path / "again/tidestone.db")) as ledger:
        assert ledger.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert ledger.execute("SELECT count(*) FROM documents").fetchone() == (30,)
    assert not list((tmp_path / "again").glob("*-journal"))


class Frozen:
    """Armed: at the first passing of a point somebody else is at work, and whoever passed it wakes after that."""

    def __init__(self, point: str, meanwhile: Callable[[], None]) -> None:
        self.point, self.meanwhile = point, [meanwhile]

    def reach(self, point: str) -> None:
        if point == self.point and self.meanwhile:
            self.meanwhile.pop()()


def test_who_was_frozen_with_a_fresh_mark_leaves_it_to_its_successor(
    backups: Backups, tmp_path: Path
) -> None:
    """That has brought everything back and removed the mark."""
    target = tmp_path / "again"
    failpoints._armed = Frozen("file.synced", lambda: put_back(backups[0], target) and None)  # type: ignore[assignment]
    try:
        with pytest.raises(Conflict, match="has just come to its end"):
            put_back(backups[0], target)
    finally:
        failpoints.arm("")
    assert (target / "tidestone.db").exists()


def test_who_was_frozen_with_a_fresh_mark_goes_on_where_its_successor_was_killed(
    backups: Backups, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is there by then is no stranger's."""
    target = tmp_path / "again"

    def die() -> None:
        with monkeypatch.context() as patch:
            patch.setattr(restoring, "_bring_ledger", dies)
            with pytest.raises(Died):
                put_back(backups[0], target)

    def dies(*_: object) -> None:
        raise Died

    failpoints._armed = Frozen("file.synced", die)  # type: ignore[assignment]
    try:
        put_back(backups[0], target)
    finally:
        failpoints.arm("")
    assert (target / "tidestone.db").exists()
    assert not (target / "restoring.json").exists()


def test_whoever_works_next_publishes_what_was_restored(backups: Backups, tmp_path: Path) -> None:
    """The command may be killed before it does: the manifests are not in a backup."""
    put_back(backups[0], tmp_path / "again/data")
    (tmp_path / "again/library").mkdir()
    again = World(tmp_path / "again")
    with again.ledger.read() as c:
        assert collections.unpublished(c)
    assert again.keeper().serve_idle("worker", Event())
    assert len(again.contents()) == 30
    again.ledger.close()
