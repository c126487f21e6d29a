"""Durable copies of files that never change: a second name where the file system has hard links, else the bytes."""

import errno
import os
import shutil
from pathlib import Path

from service.errors import Corrupt, TryAgain
from service.index.files import hash_file

_NO_LINKS = {errno.EXDEV, errno.EPERM, errno.EOPNOTSUPP, errno.EMLINK, errno.ENOTSUP}
_FULL = {errno.ENOSPC, errno.EDQUOT}


def make_folders(root: Path, below: Path) -> None:
    """Create `root/below` and what is missing above it, mode 0755; whoever has copied everything syncs every folder."""
    at = root
    for part in below.parts:
        at = at / part
        if not at.is_dir():
            at.mkdir(exist_ok=True)
            at.chmod(0o755)


def link_or_copy(source: Path, target: Path, *, link: bool = True) -> bool:
    """Make `target` the same file, or the same bytes, synced; whether it became a second name.

    An unfinished target of an earlier attempt is replaced. The folder is not synced. Raises FileNotFoundError, and
    TryAgain when the disk is full.
    """
    target.unlink(missing_ok=True)
    try:
        if link:
            try:
                os.link(source, target)
                return True
            except OSError as error:
                if error.errno not in _NO_LINKS:
                    raise
        _copy(source, target)
    except OSError as error:
        if error.errno in _FULL:
            raise TryAgain("disk_low", str(target)) from error
        raise
    return False


def require(path: Path, sha256: str) -> int:
    """Hash a file; its size in bytes. Raises Corrupt, also when it is missing."""
    try:
        found, size = hash_file(path)
    except FileNotFoundError as error:
        raise Corrupt(path, sha256, "no file") from error
    if found != sha256:
        raise Corrupt(path, sha256, found)
    return size


def has(path: Path, sha256: str) -> bool:
    """Whether the file is there and whole."""
    try:
        require(path, sha256)
    except Corrupt:
        return False
    return True


def _copy(source: Path, target: Path) -> None:
    with source.open("rb") as given, target.open("xb") as taken:
        shutil.copyfileobj(given, taken, 1 << 20)
        taken.flush()
        os.fsync(taken.fileno())
    target.chmod(0o644)
