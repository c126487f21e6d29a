"""A backup is one state of ledger and files, every file hashed; what comes back is the collection, and work goes on."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from service import failpoints
from service.core.upkeep import Kind
from service.engine.lease import Observer
from service.engine.sweep import sweep
from service.errors import BadRequest, Conflict, Refused
from service.ledger import collections, leases, segments
from service.ledger.backup import RAISED_TOKENS
from service.ledger.database import Ledger
from service.maintenance import backup, backup_file
from service.maintenance import put_back as put_back_module
from service.maintenance.backup import Made, back_up, listing
from service.maintenance.put_back import MARKER, put_back
from service.reader import Collection
from tests.engine.holding import Died
from tests.engine.world import World


@pytest.fixture
def filled(world: World) -> World:
    """Files of every kind: segments, a merged one, live files, commit records."""
    world.configure(batch_size=2, max_live_segments=3)
    for n in range(9):
        world.write(f"{n}.txt", f"document {n} says this\n\nand its second part {n}")
    world.run()
    world.write("3.txt", "document 3 has changed\n\nand its second part 3", mtime=1_700_000_000)
    (world.library / "4.txt").unlink()
    world.run()
    return world


def made(world: World, into: Path) -> Made:
    return back_up(world.ledger, world.settings.data_dir, into)


@contextmanager
def restored(source: Path, folder: Path, world: World) -> Iterator[World]:
    """The world of a backup, over the same library, published as the command does."""
    folder.mkdir(exist_ok=True)
    (folder / "library").symlink_to(world.library)
    put_back(source, folder / "data")
    again = World(folder)
    again.configure(batch_size=2, max_live_segments=3)
    try:
        assert again.tend(again.orders.place("docs", Kind.REPAIR))["state"] == "done"
        yield again
    finally:
        again.ledger.close()


def vectors(world: World) -> dict[tuple[str, int, str], list[float]]:
    rows = Collection.open(world.files).rows()
    return {(row.key, row.ordinal, row.text): row.vector.tolist() for row in rows}


def test_what_comes_back_is_the_collection_and_work_goes_on(filled: World, tmp_path: Path) -> None:
    before = vectors(filled)
    source = made(filled, tmp_path / "backups").folder
    filled.write("later.txt", "written after the backup")
    filled.run()
    with restored(source, tmp_path / "again", filled) as again:
        assert vectors(again) == before
        assert again.verify()["valid"], again.verify()
        assert list((again.files / "quarantine").iterdir()) == []
        assert again.run()["progress"]["done"] == 1, "only what came after the backup is read"
        assert again.contents() == again.expected()
        assert again.verify()["valid"]


def test_a_second_backup_shares_what_the_first_has(filled: World, tmp_path: Path) -> None:
    first = made(filled, tmp_path / "backups")
    filled.write("later.txt", "written after the first backup")
    filled.run()
    second = made(filled, tmp_path / "backups")
    assert [path for path, _ in listing(tmp_path / "backups")] == [first.folder, second.folder]
    shared = {file.path for file in first.backup.files} & {file.path for file in second.backup.files}
    shared.discard(backup_file.LEDGER)
    assert shared
    for path in shared:
        assert (first.folder / path).stat().st_ino == (second.folder / path).stat().st_ino
    shutil.rmtree(first.folder)
    with restored(second.folder, tmp_path / "again", filled) as again:
        assert again.contents() == again.expected()


def test_without_hard_links_the_bytes_are_copied(
    filled: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = Path("/dev/shm")
    if not other.is_dir() or other.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("there is no second file system")
    into = other / f"tidestone-{os.getpid()}-{tmp_path.name}"
    try:
        first = made(filled, into)
        assert first.new_bytes == first.backup.bytes
        second = made(filled, into)
        assert second.new_bytes == second.backup.files[0].bytes, "only the ledger is new"
        with restored(second.folder, tmp_path / "again", filled) as again:
            assert again.contents() == again.expected()
    finally:
        shutil.rmtree(into, ignore_errors=True)


def test_while_a_job_runs_a_backup_holds_one_of_its_checkpoints(filled: World, tmp_path: Path) -> None:
    for n in range(20, 32):
        filled.write(f"{n}.txt", f"document {n} says this\n\nand its second part {n}")
    backups: list[Made] = []

    class BackUpOnce:
        def reach(self, point: str) -> None:
            if point == "ledger.after" and not backups:
                failpoints.arm("")
                backups.append(made(filled, tmp_path / "backups"))

    filled.jobs.create(filled.order())
    failpoints._armed = BackUpOnce()  # type: ignore[assignment]
    try:
        assert filled.worker().take_one()
    finally:
        failpoints.arm("")
    with restored(backups[0].folder, tmp_path / "again", filled) as again:
        found = again.contents()
        assert found < again.expected()
        assert again.verify()["valid"], again.verify()
        job = again.jobs.find(again.order())
        assert job is not None
        assert job["state"] == "running", "its worker has not come along: a sweep settles it"
        assert sweep(again.ledger, Observer(0.0), again.settings) == 1
        assert again.resume(job["id"])["state"] == "succeeded"
        assert again.contents() == again.expected()
        assert again.verify()["valid"]


STRIDE = 3  # so that many attempts do not take long


class AtPassing:
    """Armed: dies at the n-th passing of any point."""

    def __init__(self, left: int) -> None:
        self.left = left

    def reach(self, _: str) -> None:
        self.left -= 1
        if self.left == 0:
            raise Died


def until_it_is_done(act: Any) -> int:
    """Die at an early passing, at a later one of the next attempt, and so on; how often it died."""
    deaths = 0
    while True:
        failpoints._armed = AtPassing(1 + STRIDE * deaths)  # type: ignore[assignment]
        try:
            act()
        except Died:
            deaths += 1
        else:
            return deaths
        finally:
            failpoints.arm("")


def test_a_backup_that_was_not_finished_is_none(filled: World, tmp_path: Path) -> None:
    into = tmp_path / "backups"
    deaths = until_it_is_done(lambda: made(filled, into))
    assert deaths > 5
    folders = sorted(path for path in into.iterdir())
    assert len(folders) in (deaths, deaths + 1), "the first death may come before there is a folder"
    whole = [path for path, _ in listing(into)]
    assert whole, "the last one is whole"
    for path in folders:
        if path not in whole:
            with pytest.raises(BadRequest, match="no finished backup"):
                put_back(path, tmp_path / "nowhere")
    assert not list(filled.settings.data_dir.glob(".backup-*")), "dead attempts are cleared by the next"
    with restored(whole[-1], tmp_path / "again", filled) as again:
        assert again.contents() == again.expected()


def test_a_restore_that_dies_goes_on_with_the_same_command(filled: World, tmp_path: Path) -> None:
    source = made(filled, tmp_path / "backups").folder
    target = tmp_path / "again"

    def attempt() -> None:
        try:
            put_back(source, target / "data")
        except Refused:  # it died when all but the last sync was done
            assert (target / "data/tidestone.db").exists()
            assert not (target / "data" / MARKER).exists()

    assert until_it_is_done(attempt) > 5
    (target / "library").symlink_to(filled.library)
    again = World(target)
    try:
        assert again.tend(again.orders.place("docs", Kind.REPAIR))["state"] == "done"
        assert again.contents() == again.expected()
        assert again.verify()["valid"]
    finally:
        again.ledger.close()


def test_nothing_is_ever_replaced(filled: World, tmp_path: Path) -> None:
    source = made(filled, tmp_path / "backups").folder
    before = (filled.settings.data_dir / "tidestone.db").read_bytes()
    with pytest.raises(Refused, match="move the folder away"):
        put_back(source, filled.settings.data_dir)
    assert (filled.settings.data_dir / "tidestone.db").read_bytes() == before


def test_a_restore_that_comes_late_replaces_nothing(
    filled: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, target = made(filled, tmp_path / "backups").folder, tmp_path / "again"

    def overtaken(folder: Path) -> None:
        monkeypatch.undo()
        put_back(source, folder)
        (folder / "tidestone.db").write_bytes(b"what was committed since")

    monkeypatch.setattr(put_back_module, "make_data_folder", overtaken)
    with pytest.raises(Refused, match="nothing is ever replaced"):
        put_back(source, target)
    assert (target / "tidestone.db").read_bytes() == b"what was committed since"
    assert not (target / MARKER).exists()


def test_only_one_restores_into_a_folder(
    filled: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, target = made(filled, tmp_path / "backups").folder, tmp_path / "again"

    def meanwhile(point: str) -> None:
        with pytest.raises(Conflict, match="Another process restores"):
            put_back(source, target)

    monkeypatch.setattr(put_back_module, "reach", meanwhile)
    assert put_back(source, target).files > 3


def test_other_files_of_the_target_are_left_alone(filled: World, tmp_path: Path) -> None:
    source = made(filled, tmp_path / "backups").folder
    target = tmp_path / "again/data"
    target.mkdir(parents=True)
    (target / "notes.txt").write_text("mine")
    put_back(source, target)
    assert (target / "notes.txt").read_text() == "mine"


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.unlink()  # not the file that it shares its bytes with
    path.write_bytes(data)


def test_a_damaged_backup_is_refused(filled: World, tmp_path: Path) -> None:
    source = made(filled, tmp_path / "backups").folder
    flip(next((source / "collections/docs/segments").glob("*.faiss")))
    with pytest.raises(Refused, match="The backup is damaged"):
        put_back(source, tmp_path / "again")


def test_damage_is_not_backed_up(filled: World, tmp_path: Path) -> None:
    flip(next((filled.files / "segments").glob("*.chunks")))
    with pytest.raises(Refused, match="tidestone repair"):
        made(filled, tmp_path / "backups")
    assert listing(tmp_path / "backups") == []


def test_a_worker_of_the_life_before_holds_nothing(filled: World, tmp_path: Path) -> None:
    source = made(filled, tmp_path / "backups").folder
    with filled.ledger.read() as c:
        token = max(c.exec_driver_sql("SELECT token FROM leases").scalars())
        collection = c.exec_driver_sql("SELECT id FROM collections").scalar_one()
    put_back(source, tmp_path / "again")
    ledger = Ledger.open(f"sqlite:///{tmp_path / 'again/tidestone.db'}")
    try:
        with ledger.read() as c:
            lease = leases.read(c, str(collection))
        assert (lease.token, lease.holder) == (token + RAISED_TOKENS, "")
    finally:
        ledger.close()


def test_files_that_leave_meanwhile_make_it_look_again(
    filled: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As after a purge: a file that the copied ledger needs is gone, the present ledger needs another."""
    copy, calls = backup.ledger_copy.copy_ledger, []

    def then_change(ledger: Ledger, to: Path) -> None:
        copy(ledger, to)
        calls.append(to)
        if len(calls) == 1:
            filled.write("5.txt", "document 5 has changed\n\nand its second part 5", mtime=1_700_000_001)
            filled.run()
            for path in (filled.files / "segments").iterdir():
                if path.name not in {Path(name).name for name in live_names(filled)}:
                    path.unlink()

    monkeypatch.setattr(backup.ledger_copy, "copy_ledger", then_change)
    source = made(filled, tmp_path / "backups").folder
    assert len(calls) == 2
    with restored(source, tmp_path / "again", filled) as again:
        assert again.contents() == again.expected()


def live_names(world: World) -> list[str]:
    with world.ledger.read() as c:
        rows = segments.live(c, collections.by_name(c, "docs").id)
    return [file["name"] for row in rows for file in (row.faiss, row.chunks, row.live) if file]
