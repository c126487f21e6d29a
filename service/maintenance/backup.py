"""Copy ledger and collections to another folder while the service goes on: one state of both, every file hashed."""

import os
import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from fcntl import LOCK_EX, LOCK_NB, flock
from pathlib import Path
from uuid import uuid4

from service.engine.faults import told
from service.errors import BadRequest, Corrupt, Refused, TidestoneError
from service.failpoints import reach
from service.index import copies
from service.index.collection_file import NAME as COLLECTION
from service.index.files import hash_file, make_data_folder, make_folder, sync, sync_folder
from service.ledger import backup as ledger_copy
from service.ledger.backup import Wanted
from service.ledger.database import Ledger, store_identity, utc_now
from service.maintenance import backup_file
from service.maintenance.backup_file import LEDGER, Backup, Kept

_TRIES = 5  # files that leave between the ledger's copy and theirs: then another copy is taken
_STAGING = ".backup-"
_NAME = re.compile(r"\d{4}-\d\d-\d\dT\d\d-\d\d-\d\d-\d{6}Z")


@dataclass(frozen=True, slots=True)
class Made:
    """A finished backup."""

    folder: Path
    backup: Backup
    new_bytes: int  # that are not shared with an earlier backup or the data folder


@told()
def back_up(ledger: Ledger, data_dir: Path, into: Path) -> Made:
    """A new folder below `into`, named after the time; what an earlier backup there has is shared with it.

    Raises Refused (no SQLite ledger; a damaged file, which `tidestone repair` mends first), TryAgain (disk full, or failing).
    """
    if into.resolve().is_relative_to(data_dir.resolve() / "collections"):
        raise Refused(f"{into} is inside the data that is to be backed up: choose another folder.")
    make_data_folder(into)
    target = into / datetime.now(UTC).strftime("%Y-%m-%dT%H-%M-%S-%fZ")
    earlier = _newest(into)
    make_folder(target)
    try:
        return _fill(ledger, data_dir, target, earlier)
    except (Exception, KeyboardInterrupt):  # it would take room that may be just what is wanting
        shutil.rmtree(target, ignore_errors=True)
        raise


def _fill(ledger: Ledger, data_dir: Path, target: Path, earlier: Mapping[str, tuple[Path, str]]) -> Made:
    with _staging(data_dir) as staging:
        wanted = _stage(ledger, data_dir, staging, target)
        new, files = 0, []
        for file in wanted:
            kept, is_new = _take(staging, target, file, earlier)
            files.append(kept)
            new += kept.bytes if is_new else 0
    _sync_folders(target)
    with ledger_copy.looking_into(target / LEDGER) as c:
        generations, store_id = ledger_copy.generations(c), str(store_identity(c).store_id)
    backup = Backup(store_id, utc_now(), generations, [_ledger_file(target), *files])
    reach("backup.unsealed")
    backup_file.write(target, backup)
    return Made(target, backup, new + backup.files[0].bytes)


def look(into: Path) -> Iterator[tuple[Path, Backup | TidestoneError]]:
    """Every folder there that is, or was to be, a backup, oldest first; in place of a backup, why it is none."""
    for path in sorted(into.iterdir()) if into.is_dir() else []:
        if _NAME.fullmatch(path.name) or (path / backup_file.NAME).exists():
            try:
                yield path, backup_file.read(path)
            except (BadRequest, Corrupt) as error:
                yield path, error


def listing(into: Path) -> list[tuple[Path, Backup]]:
    """The finished backups in a folder, oldest first; those whose list can be read."""
    return [(path, found) for path, found in look(into) if isinstance(found, Backup)]


def _newest(into: Path) -> Mapping[str, tuple[Path, str]]:
    """path -> (file, sha256) of the newest finished backup there."""
    backups = listing(into)
    if not backups:
        return {}
    folder, backup = backups[-1]
    return {file.path: (folder / file.path, file.sha256) for file in backup.files if file.path != LEDGER}


@contextmanager
def _staging(data_dir: Path) -> Iterator[Path]:
    """A folder beside the collections in which files keep a second name, so that nothing can leave while it is copied."""
    clear_dead(data_dir)
    while True:
        folder = data_dir / f"{_STAGING}{uuid4().hex}"
        folder.mkdir()
        with _locked(folder) as ours:
            if not ours:
                continue  # another backup has taken it for a dead one, before we had the lock
            try:
                yield folder
            finally:
                shutil.rmtree(folder, ignore_errors=True)
            return


def clear_dead(data_dir: Path) -> None:
    """Remove what killed backups have left beside the collections: second names, which keep files from leaving."""
    for left in data_dir.glob(f"{_STAGING}*"):
        with _locked(left) as dead:
            if dead:
                shutil.rmtree(left, ignore_errors=True)


@contextmanager
def _locked(folder: Path) -> Iterator[bool]:
    """Whether the folder is there and nobody else has it; it is ours during the block."""
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except FileNotFoundError:
        yield False
        return
    try:
        flock(descriptor, LOCK_EX | LOCK_NB)
        ours = folder.is_dir()
    except BlockingIOError:
        ours = False
    try:
        yield ours
    finally:
        os.close(descriptor)


def _stage(ledger: Ledger, data_dir: Path, staging: Path, target: Path) -> list[Wanted]:
    """The ledger's copy, and second names for all files that it names."""
    for _ in range(_TRIES):
        (target / LEDGER).unlink(missing_ok=True)
        ledger_copy.copy_ledger(ledger, target / LEDGER)
        sync(target / LEDGER)
        reach("backup.copied")
        with ledger_copy.looking_into(target / LEDGER) as c:
            wanted = list(ledger_copy.wanted_files(c))
            names = ledger_copy.names(c)
        found = [file for file in wanted if _second_name(data_dir, staging, file)]
        for name in names:
            path = f"collections/{name}/{COLLECTION}"
            if (data_dir / path).exists():
                found.append(Wanted(path, hash_file(data_dir / path)[0], needed=True))
                _second_name(data_dir, staging, found[-1])
        missing = {file.path for file in wanted if file.needed} - {file.path for file in found}
        if not missing:
            return found
    raise Refused(f"{sorted(missing)[0]} is missing: run `tidestone repair` first, then back up.")


def _second_name(data_dir: Path, staging: Path, file: Wanted) -> bool:
    copies.make_folders(staging, Path(file.path).parent)
    try:
        copies.link_or_copy(data_dir / file.path, staging / file.path)
    except FileNotFoundError:
        return False
    return True


def _take(
    staging: Path, target: Path, file: Wanted, earlier: Mapping[str, tuple[Path, str]]
) -> tuple[Kept, bool]:
    """One file into the backup, hashed there; whether it takes space of its own."""
    path = target / file.path
    copies.make_folders(target, Path(file.path).parent)
    before, sha256 = earlier.get(file.path, (None, ""))
    shared = before is not None and sha256 == file.sha256 and before.exists()
    linked = copies.link_or_copy(before if shared and before else staging / file.path, path)
    if shared and not copies.has(path, file.sha256):  # the earlier backup's disk has let it rot
        shared, linked = False, copies.link_or_copy(staging / file.path, path)
    reach("backup.taken")
    try:
        size = copies.require(path, file.sha256)
    except Corrupt as error:
        raise Refused(
            f"{error} A backup of damaged files would be none: run `tidestone repair` first."
        ) from error
    return Kept(file.path, file.sha256, size), not linked


def _ledger_file(target: Path) -> Kept:
    path = target / LEDGER
    return Kept(LEDGER, *hash_file(path))


def _sync_folders(target: Path) -> None:
    for path in [target, *(path for path in target.rglob("*") if path.is_dir())]:
        sync_folder(path)
