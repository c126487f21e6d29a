"""Bring a backup back into an empty data folder; killed anywhere, the same command goes on."""

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from fcntl import LOCK_EX, LOCK_NB, flock
from pathlib import Path

from service.engine.faults import told
from service.errors import Conflict, Corrupt, Refused
from service.failpoints import reach
from service.index import copies
from service.index.files import make_data_folder, sync, sync_folder, write_new
from service.ledger import backup as ledger_copy
from service.maintenance import backup_file
from service.maintenance.backup_file import LEDGER, Backup, Kept

MARKER = "restoring.json"  # the folder is no data folder yet: open_ledger refuses it
_FRESH = f"{LEDGER}.new"


@dataclass(frozen=True, slots=True)
class Restored:
    """What came back."""

    generations: Mapping[str, int]  # by collection
    files: int
    bytes: int


@told()
def put_back(source: Path, data_dir: Path) -> Restored:
    """Copy, and hash what was copied. The ledger comes last: without it there is nothing to open.

    Raises BadRequest (no backup), Refused (the folder is not empty; a file of the backup is damaged), Conflict (another
    process restores into it), TryAgain (disk full).
    """
    backup = backup_file.read(source)
    mine = b""
    if not (data_dir / MARKER).exists():  # an earlier attempt's
        _refuse_what_is_there(data_dir)
        make_data_folder(data_dir)
        mine = _mark(source, data_dir)
    with _alone(data_dir / MARKER):
        _begin_or_go_on(data_dir, mine)
        # Before anything else has a name there; whoever has made the mark may have been killed.
        sync_folder(data_dir)
        _bring_all(source, data_dir, backup)
        reach("restore.unmarked")
        (data_dir / MARKER).unlink()
    sync_folder(data_dir)
    return Restored(backup.generations, len(backup.files), backup.bytes)


@contextmanager
def _alone(marker: Path) -> Iterator[None]:
    """One at a time: who was frozen and wakes would otherwise put the backup over what has been committed since."""
    try:
        descriptor = os.open(marker, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        raise Conflict(f"Another restore into {marker.parent} has just come to its end.") from None
    try:
        flock(descriptor, LOCK_EX | LOCK_NB)
        if not marker.exists():  # it was removed between the two calls: the lock is on nothing
            raise BlockingIOError
        yield
    except BlockingIOError:
        raise Conflict(f"Another process restores into {marker.parent}: wait for it, or end it.") from None
    finally:
        os.close(descriptor)


def _bring_all(source: Path, data_dir: Path, backup: Backup) -> None:
    _forget_others(data_dir, backup)
    for file in backup.files:
        if file.path != LEDGER:
            _bring(source, data_dir, file, file.path)
    for path in [data_dir, *(path for path in data_dir.rglob("*") if path.is_dir())]:
        sync_folder(path)
    _bring_ledger(source, data_dir, next(file for file in backup.files if file.path == LEDGER))


def _mark(source: Path, data_dir: Path) -> bytes:
    """What the mark says; nothing where somebody else was faster."""
    mine = json.dumps({"from": str(source)}).encode()
    try:
        write_new(data_dir, MARKER, mine)
    except FileExistsError:
        return b""
    return mine


def _begin_or_go_on(data_dir: Path, mine: bytes) -> None:
    """Who goes on says so in the mark: who has made it, and was frozen, would take what has come since for another's."""
    marker = data_dir / MARKER
    if not mine:
        with marker.open("ab") as file:
            file.write(b" ")
    if marker.read_bytes() != mine:
        return
    try:
        _refuse_what_is_there(data_dir)  # it may have come between the first look and the mark
    except Refused:
        marker.unlink()
        raise


def _refuse_what_is_there(data_dir: Path) -> None:
    found = [name for name in (LEDGER, "collections") if (data_dir / name).exists()]
    if found:
        raise Refused(
            f"{data_dir} has a {' and '.join(found)} of its own, and nothing is ever replaced: "
            "move the folder away, or restore into another one (--into)."
        )


def _forget_others(data_dir: Path, backup: Backup) -> None:
    """An earlier attempt may have been made from another backup; there was no such folder before it.

    Nor must a ledger's log or journal be left: it would be played back into this one. Synced before the ledger comes.
    """
    for left in (LEDGER, f"{LEDGER}-wal", f"{LEDGER}-shm", _FRESH, f"{_FRESH}-journal"):
        (data_dir / left).unlink(missing_ok=True)
    wanted = {file.path for file in backup.files}
    for path in [*(data_dir / "collections").rglob("*")]:
        if path.is_file() and str(path.relative_to(data_dir)) not in wanted:
            path.unlink()


def _bring(source: Path, data_dir: Path, file: Kept, name: str) -> None:
    target = data_dir / name
    if copies.has(target, file.sha256):
        sync(target)  # an earlier attempt may have been killed before that
        return
    copies.make_folders(data_dir, Path(name).parent)
    # The bytes, not a second name: what befalls the restored file must not befall the backup.
    copies.link_or_copy(source / file.path, target, link=False)
    reach("restore.brought")
    try:
        copies.require(target, file.sha256)
    except Corrupt as error:
        raise Refused(f"The backup is damaged: {error}") from error


def _bring_ledger(source: Path, data_dir: Path, file: Kept) -> None:
    _bring(source, data_dir, file, _FRESH)
    with ledger_copy.changing(data_dir / _FRESH) as c:
        ledger_copy.fence(c)
    sync(data_dir / _FRESH)
    reach("restore.fenced")
    (data_dir / _FRESH).rename(data_dir / LEDGER)
    sync_folder(data_dir)
