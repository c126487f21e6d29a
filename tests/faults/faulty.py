"""A file system of our own, whose calls fail when they are told to."""

import os
import shutil
import struct
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.faults.disks import not_here

SOURCE = Path(__file__).with_name("faulty.c")
PATIENCE_SECONDS = 60.0
KINDS = ("create", "write", "fsync", "rename", "read", "remove", "open")  # as in SOURCE
FOREVER = 1_000_000_000


@dataclass(frozen=True)
class FaultyDisk:
    """Mounted; `path` is where."""

    path: Path
    control: Path

    def fail(self, kind: str, error: int, first: int = 1, last: int = FOREVER) -> None:
        """From now on the calls of a kind, one of KINDS, fail, from the first to the last."""
        fresh = self.control.with_suffix(".new")
        fresh.write_text(f"{kind} {first} {last} {error} {time.monotonic_ns()}")
        fresh.replace(self.control)

    def watch(self) -> None:
        """Nothing fails; `passed` begins anew."""
        self.fail("none", 0)

    def passed(self) -> dict[str, int]:
        """How many calls of each kind there have been since it was last said what is to fail."""
        counted = struct.unpack(f"={len(KINDS)}q", self.control.with_suffix(".passed").read_bytes())
        return dict(zip(KINDS, counted, strict=True))

    def mend(self) -> None:
        """Nothing fails any more."""
        self.control.unlink(missing_ok=True)


def compiled(into: Path) -> Path:
    """The program; skips where it cannot be made or run."""
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("g++")
    if compiler is None or shutil.which("pkg-config") is None or not os.path.exists("/dev/fuse"):
        not_here("a C compiler, pkg-config and /dev/fuse are needed")
    flags = subprocess.run(
        ["pkg-config", "--cflags", "--libs", "fuse3"], capture_output=True, text=True, check=False
    )
    if flags.returncode != 0:
        not_here("libfuse3-dev is needed")
    program = into / "faulty"
    subprocess.run([str(compiler), "-o", str(program), str(SOURCE), *flags.stdout.split()], check=True)
    return program


@contextmanager
def faulty_disk(program: Path, folder: Path) -> Iterator[FaultyDisk]:
    """A faulty file system below `folder`."""
    behind, path, control = folder / "behind", folder / "disk", folder / "control"
    for made in (behind, path):
        made.mkdir(parents=True)
    process = subprocess.Popen([str(program), str(control), str(behind), str(path)], stderr=subprocess.PIPE)
    try:
        end = time.monotonic() + PATIENCE_SECONDS
        while not os.path.ismount(path):
            if process.poll() is not None:
                assert process.stderr is not None
                not_here(f"FUSE does not mount: {process.stderr.read().decode().strip()}")
            assert time.monotonic() < end, "it is never mounted"
            time.sleep(0.01)
        yield FaultyDisk(path, control)
    finally:
        control.unlink(missing_ok=True)
        subprocess.run(["umount", "-l", str(path)], capture_output=True, check=False)
        process.kill()
        process.communicate()
