"""Real small disks: a tmpfs of a given size, which is filled, emptied and made read-only."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

BALLAST = "ballast"
PAGE = 4_096


def not_here(why: str) -> None:
    """Skip, unless this machine has promised that it can."""
    if os.environ.get("STRICT_TESTS") == "1":
        pytest.fail(f"STRICT_TESTS is set, and yet: {why}")
    pytest.skip(why)


@dataclass(frozen=True)
class SmallDisk:
    """A mounted file system that a test has for itself."""

    path: Path

    def free(self) -> int:
        stat = os.statvfs(self.path)
        return stat.f_bavail * stat.f_frsize

    def leave(self, free_bytes: int) -> None:
        """Fill it up to so many free bytes."""
        ballast = self.path / BALLAST
        ballast.unlink(missing_ok=True)
        size = self.free() - free_bytes
        if size > 0:
            with ballast.open("wb") as out:
                os.posix_fallocate(out.fileno(), 0, size)

    def fill(self) -> None:
        """Take what is free now, without letting go of anything."""
        with (self.path / BALLAST).open("ab") as out:
            while (free := self.free()) > 0:
                step = (
                    free // 2 // PAGE * PAGE or PAGE
                )  # all of it at once would fail as long as anybody is at work
                with suppress(OSError):
                    os.posix_fallocate(out.fileno(), os.fstat(out.fileno()).st_size, step)

    def empty(self) -> None:
        """There is space again."""
        (self.path / BALLAST).unlink(missing_ok=True)

    def remount(self, how: str) -> None:
        """ "ro" or "rw"."""
        subprocess.run(["mount", "-o", f"remount,{how}", str(self.path)], check=True, capture_output=True)


@contextmanager
def small_disk(path: Path, size_bytes: int) -> Iterator[SmallDisk]:
    """A tmpfs at `path`; skips where this user may mount nothing."""
    path.mkdir(parents=True, exist_ok=True)
    command = ["mount", "-t", "tmpfs", "-o", f"size={size_bytes},mode=755", "tidestone-test", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        not_here(f"no tmpfs can be mounted: {done.stderr.strip()}")
    try:
        yield SmallDisk(path)
    finally:
        subprocess.run(["umount", "-l", str(path)], check=True, capture_output=True)
