"""A memory limit as a container has one: a control group of its own, version 1 or 2."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import pytest

_V1 = Path("/sys/fs/cgroup/memory")
_V2 = Path("/sys/fs/cgroup")


@dataclass(frozen=True)
class Group:
    """Processes that share a limit."""

    folder: Path

    def join(self, pid: int) -> None:
        """From now on the process, and every child that it starts, counts."""
        (self.folder / "cgroup.procs").write_text(str(pid))

    def limit(self, bytes: int) -> None:
        """Set the limit; there is no swap to escape to."""
        for name, value in (("memory.limit_in_bytes", bytes), ("memory.max", bytes), ("memory.swap.max", 0)):
            if (self.folder / name).exists():
                (self.folder / name).write_text(str(value))

    def killed(self) -> int:
        """How many processes the kernel has ended for want of memory."""
        said = self.folder / (
            "memory.oom_control" if (self.folder / "memory.oom_control").exists() else "memory.events"
        )
        counts = dict(line.split() for line in said.read_text().splitlines())
        return int(counts["oom_kill"])

    def usage(self) -> int:
        """Bytes in use that cannot be given back by dropping caches: anonymous memory."""
        stat = dict(line.split() for line in (self.folder / "memory.stat").read_text().splitlines())
        return int(stat.get("anon", stat.get("rss", "0")))

    def processes(self) -> list[int]:
        return [int(pid) for pid in (self.folder / "cgroup.procs").read_text().split()]


@contextmanager
def group() -> Iterator[Group]:
    """A control group that ends with the block; skips where this machine lets us make none."""
    parent = _V1 if _V1.is_dir() else _V2
    folder = parent / f"tidestone-test-{uuid4().hex[:8]}"
    try:
        folder.mkdir()
    except OSError as error:
        _not_here(str(error))
    try:
        if not any((folder / name).exists() for name in ("memory.limit_in_bytes", "memory.max")):
            _not_here("the memory controller is not on")
        yield Group(folder)
    finally:
        folder.rmdir()


def _not_here(why: str) -> None:
    message = f"no memory limit can be set on this machine: {why}"
    if os.environ.get("STRICT_TESTS") == "1" and _V1.is_dir():
        pytest.fail(message)
    pytest.skip(message)
