"""Scenes recorded by strace, and how the disk stands at every moment of them."""

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from tests.powerloss.disk import Disk
from tests.powerloss.trace import CALLS, SQLITE, Event, read

_TIME = re.compile(r"\d{4}-\d\d-\d\dT[-\d]+Z|(?<=^\.backup-)\w+|(?<=^\.rebuild-)\w+")
PLACES = ("data", "backups")  # below a scene's folder: what may suffer


@dataclass
class Promises:
    """What callers had been told when the power failed."""

    commits: int = 0  # of this scene
    published: int = 0  # of these, those that readers could see
    committing: bool = False
    told: dict[str, Any] = field(default_factory=dict)
    moments: int = 0  # how often something was told

    def copy(self) -> "Promises":
        """As they are now."""
        return replace(self, told=dict(self.told))

    def hear(self, line: str) -> None:
        """One line of a recorded process: a fail point that was passed, or JSON."""
        if line.startswith("{"):
            self.told |= json.loads(line)
        elif line in ("reserve.before", "commit.synced"):
            self.committing = line == "commit.synced"
            return
        elif line == "ledger.after" and self.committing:
            self.commits += 1
            self.committing = False
        elif line == "publish.after":
            self.published = self.commits
        else:
            return
        self.moments += 1


@dataclass(frozen=True)
class Recording:
    """One scene: what happened to its data folder, in order."""

    name: str
    root: Path  # holds the library, and the data folder that may suffer
    before: Sequence[Event]
    events: Sequence[Event]

    def moments(
        self, without: Collection[str] = (), missing: str = "", afterwards: Collection[str] = ()
    ) -> Iterator[tuple[int, Event, Disk, Promises]]:
        """After every event: its place, itself, the disk, what was promised.

        `without`: kinds of syncs that never were; and those of `afterwards` after the first of kind `missing`.
        """
        disk, promises, left_out = Disk(str(self.root)), Promises(), {*without}
        for event in self.before:
            disk.play(event)
        disk.settle()
        for place, event in enumerate(self.events):
            if event.kind == "told":
                promises.hear(event.site)
            elif event.kind != "sync":
                disk.play(event)
            else:
                kind = self.kind_of(event)
                left_out |= {*afterwards} if kind == missing else set()
                if kind not in left_out:
                    disk.play(event)
            yield place, event, disk, promises

    def kind_of(self, event: Event) -> str:
        """What was synced for whom, with numbers taken out."""
        path = Path(event.path)
        name = "." if path == self.root else _TIME.sub("*", path.name)
        if name == "." or not path.suffix or name.endswith("*"):
            name += "/"
        elif path.parent.name in ("segments", "commits", "scratch"):
            name = f"{path.parent.name}/*{path.suffix}"
        if event.site == SQLITE:  # which of its databases says what for
            above = path.relative_to(self.root).parts[:-1]
            name = "/".join((*(_TIME.sub("*", part) for part in above), name))
        return f"{name} in {event.site}"


def record(folder: Path, names: Sequence[str]) -> dict[str, Recording]:
    """Play scenes under strace. Raises CalledProcessError."""
    trace, scenes = folder / "trace", folder / "scenes"
    scenes.mkdir()
    command = ["strace", "-f", "-y", "-xx", "-s", str(1 << 24), "--seccomp-bpf", "-o", str(trace)]
    command += ["-e", f"trace={','.join(CALLS)}", "-e", "signal=none"]
    command += [sys.executable, "-m", "tests.powerloss.play", str(scenes), *names]
    subprocess.run(command, check=True, cwd=Path(__file__).parent.parent.parent)
    with trace.open() as lines:
        events = read(lines, scenes)
    trace.unlink()
    return {name: _scene(name, scenes / name, events) for name in names}


def why_not() -> str:
    """What keeps strace from recording here; "" when nothing does."""
    if shutil.which("strace") is None:
        return "strace is not installed"
    tried = subprocess.run(
        ["strace", "-f", "-o", "/dev/null", "true"], capture_output=True, text=True, check=False
    )
    return tried.stderr.strip() if tried.returncode else ""


def _scene(name: str, root: Path, events: Sequence[Event]) -> Recording:
    ours = tuple(str(root / place) for place in (*PLACES, "told"))
    mine = [e for e in events if e.path == str(root) or _is_at(e.path, ours)]
    mine = [
        event
        for event in mine
        if event.kind not in ("mkdir", "create") or event.path not in (str(root), ours[-1])
    ]
    start = next(at for at, event in enumerate(mine) if event.site == "begin")
    return Recording(name, root, mine[:start], mine[start + 1 :])


def _is_at(path: str, places: Sequence[str]) -> bool:
    return any(path == place or path.startswith(f"{place}/") for place in places)
