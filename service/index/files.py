"""The one writer: it creates files exclusively, hashes what it writes, and syncs file and folder."""

import errno
import hashlib
import os
from collections.abc import Callable, Iterable
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from service.errors import Corrupt, TryAgain
from service.failpoints import reach

Kind = Literal["vectors", "chunks", "live", "commit", "manifest", "file"]
Data = bytes | memoryview

_BLOCK_BYTES = 1 << 20
_FULL = {errno.ENOSPC, errno.EDQUOT}
UNREADABLE = {errno.EIO, errno.EUCLEAN, errno.EBADMSG}  # what a dying disk says


@dataclass(frozen=True, slots=True)
class StoredFile:
    """A durable file: its name relative to the collection's folder, and what its bytes must be."""

    name: str
    sha256: str
    bytes: int


def make_folder(path: Path) -> None:
    """Create a folder, mode 0755 whatever the umask, durably; fine if it exists."""
    if not path.is_dir():
        reach("folder.absent")
        path.mkdir(exist_ok=True)
        reach("folder.made")
        path.chmod(0o755)
        sync_folder(path.parent)


def make_data_folder(path: Path) -> None:
    """Create a folder and those above it, durably; fine if it exists.

    Its own name is synced in any case: whoever made it may have been killed, or may not have cared.
    """
    missing = [folder for folder in path.parents if not folder.is_dir()]
    path.mkdir(parents=True, exist_ok=True)
    for folder in (path, *missing):
        with suppress(PermissionError):  # a folder that existed, above which we may only pass
            sync(folder.parent)


def write_new(root: Path, name: str, data: Data, kind: Kind = "file") -> StoredFile:
    """Create `root/name` with these bytes, synced. The folder is not synced: see `sync_folder`.

    Raises FileExistsError (nothing is ever replaced) and TryAgain("disk_low").
    """
    return write_stream(root, name, (data,), kind)


def write_stream(root: Path, name: str, parts: Iterable[Data], kind: Kind = "file") -> StoredFile:
    """As `write_new`, from parts that need not be in memory together. A failed write leaves no file."""
    path = root / name
    try:
        digest, size = _create(path, parts, kind)
    except OSError as error:
        if error.errno in _FULL:
            raise TryAgain("disk_low", str(path)) from error
        raise
    return StoredFile(name, digest, size)


def _create(path: Path, parts: Iterable[Data], kind: Kind) -> tuple[str, int]:
    reach(f"{kind}.absent")
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
    with ExitStack() as undo:
        undo.callback(path.unlink)
        undo.callback(os.close, descriptor)
        os.fchmod(descriptor, 0o644)  # readers run as another user, whatever our umask
        reach(f"{kind}.created")
        digest, size = _write(descriptor, parts)
        reach(f"{kind}.written")
        os.fsync(descriptor)
        undo.pop_all()
    os.close(descriptor)
    reach(f"{kind}.synced")
    return digest, size


def _write(descriptor: int, parts: Iterable[Data]) -> tuple[str, int]:
    digest, size = hashlib.sha256(), 0
    for part in parts:
        digest.update(part)
        view = memoryview(part).cast("B")
        size += len(view)
        while view:
            view = view[os.write(descriptor, view) :]
    return digest.hexdigest(), size


def sync_folder(path: Path) -> None:
    """Make the names in a folder durable."""
    reach("folder.unsynced")
    sync(path)
    reach("folder.synced")


def sync(path: Path) -> None:
    """Make a file's bytes, or a folder's names, durable, whoever has written them."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def replace(root: Path, name: str, data: Data, check: Callable[[], None] = lambda: None) -> StoredFile:
    """Replace `root/name` in one step, durably; for the manifest only, under the folder lock.

    A temporary file that a crash left behind is overwritten: the lock says that nobody is writing it. `check` is called
    last, and raises when that lock does not count any more.
    """
    temporary = f"{name}.tmp"
    (root / temporary).unlink(missing_ok=True)
    stored = write_new(root, temporary, data, "manifest")
    check()
    os.replace(root / temporary, root / name)
    reach("manifest.replaced")
    sync_folder(root)
    return StoredFile(name, stored.sha256, stored.bytes)


def put_aside(root: Path, name: str) -> None:
    """Move `root/name` to quarantine, durably, under a name that is free there."""
    path, quarantine = root / name, root / "quarantine"
    make_folder(quarantine)
    free = _free_name(quarantine, path.name)
    reach("aside.before")
    path.rename(free)
    reach("aside.after")
    sync_folder(quarantine)
    sync_folder(path.parent)


def _free_name(folder: Path, name: str) -> Path:
    free, number = folder / name, 1
    while free.exists():
        number += 1
        free = folder / f"{name}~{number}"
    return free


def mend(root: Path, name: str, data: Data, kind: Kind, token: int) -> None:
    """Give a missing or damaged file the bytes that it must have, in one step; what was there is kept in quarantine.

    A writer that was frozen in the middle of it, and has been fenced, can only do the same again.
    """
    path, temporary = root / name, f"{name}.t{token}.tmp"
    write_new(root, temporary, data, kind)
    if path.exists():
        _keep_damaged(path, root / "quarantine", data)
    reach("mend.before")
    os.replace(root / temporary, path)
    reach("mend.after")
    sync_folder(path.parent)


def _keep_damaged(path: Path, quarantine: Path, good: Data) -> None:
    """Link a file into quarantine, unless it is there already or has been mended meanwhile."""
    if any(kept.samefile(path) for kept in quarantine.glob(f"{path.name}*")):
        return
    kept = _free_name(quarantine, path.name)
    reach("aside.before")
    os.link(path, kept)
    reach("aside.after")
    if kept.read_bytes() == good:
        kept.unlink()
    sync_folder(quarantine)


def verify(root: Path, stored: StoredFile) -> Path:
    """Hash the file anew and return its path. Raises Corrupt, also when it is missing."""
    path = root / stored.name
    try:
        digest, size = hash_file(path)
    except FileNotFoundError as error:
        raise Corrupt(path, stored.sha256, "no file") from error
    except OSError as error:
        if error.errno not in UNREADABLE:
            raise
        raise Corrupt(path, stored.sha256, str(error)) from error
    if (digest, size) != (stored.sha256, stored.bytes):
        raise Corrupt(path, f"{stored.sha256} ({stored.bytes} bytes)", f"{digest} ({size} bytes)")
    return path


def hash_file(path: Path) -> tuple[str, int]:
    """The SHA256 (hexadecimal) and size in bytes of a file, read in blocks."""
    digest, size = hashlib.sha256(), 0
    with path.open("rb", buffering=0) as file:
        while block := file.read(_BLOCK_BYTES):
            digest.update(block)
            size += len(block)
    return digest.hexdigest(), size
