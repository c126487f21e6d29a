"""Named points between effects, where a test may kill or freeze the process; inert unless armed."""

import signal
import threading
from collections import Counter
from pathlib import Path

# One before and one after each effect; "absent" means that the file is not there yet.
_KINDS = ("vectors", "chunks", "live", "commit", "manifest", "file")
_STEPS = ("absent", "created", "written", "synced")
OF_COMMITS = (
    *(f"{kind}.{step}" for kind in _KINDS for step in _STEPS),
    "manifest.locked",
    "manifest.replaced",
    "folder.unsynced",
    "folder.synced",
    "reserve.before",
    "reserve.after",
    "ledger.before",
    "ledger.after",
    "publish.before",
    "publish.after",
)
OF_REBUILDS = ("rebuild.written", "rebuild.aside", "rebuild.placed")
# A new point is one more line here, and a phase of the self-test (service/selftest/phases.py) that passes it.
POINTS = (
    *OF_COMMITS,
    "statement.before",  # each statement of each transaction that writes to the ledger
    "statement.after",
    "transaction.before",  # its COMMIT
    "transaction.after",
    "folder.absent",
    "folder.made",
    "orphan.found",
    "orphan.removed",
    "aside.before",
    "aside.after",
    "mend.before",
    "mend.after",
    "scratch.unmoved",
    "scratch.moved",
    "merge.before",
    "merge.after",
    "repair.before",
    "repair.queued",
    "repair.after",
    "backup.copied",
    "backup.taken",
    "backup.unsealed",
    "restore.brought",
    "restore.fenced",
    "restore.unmarked",
    "drop.unpublished",
    "drop.emptied",
    "drop.removed",
    "drop.rows",
    "drop.forgotten",
    "rollback.checked",
    "rollback.spans",
    "rollback.documents",
    "collect.removed",
    "collect.forgotten",
    "collect.noting",
    "collect.noted",
    *OF_REBUILDS,
)

_SIGNALS = {"kill": signal.SIGKILL, "stop": signal.SIGSTOP}


class _Armed:
    """What to do at which passing of which point."""

    def __init__(self, spec: str) -> None:
        self.actions: dict[tuple[str, int], signal.Signals] = {}
        self.record: Path | None = None
        self.passed: Counter[str] = Counter()
        self.lock = threading.Lock()
        for entry in spec.split(","):
            point, _, value = entry.strip().partition("=")
            if point == "record":
                self.record = Path(value)
            else:
                action, _, passing = value.partition("@")
                self.actions[_declared(point), int(passing or 1)] = _SIGNALS[action]

    def reach(self, point: str) -> None:
        with self.lock:
            self.passed[_declared(point)] += 1
            passing = self.passed[point]
            if self.record is not None:
                with self.record.open("a") as out:
                    out.write(f"{point}\n")
        action = self.actions.get((point, passing))
        if action is not None:
            signal.raise_signal(action)  # to this very thread: it does not get any further


_armed: _Armed | None = None


def arm(spec: str) -> None:
    """Arm "point=kill@n" and "point=stop@n" (n-th passing, from 1) and "record=path", separated by commas.

    An empty spec disarms. Raises KeyError or ValueError on a spec that names something unknown.
    """
    global _armed
    _armed = _Armed(spec) if spec else None


def is_armed() -> bool:
    """Whether passing a point means anything: where even asking would cost something."""
    return _armed is not None


def reach(point: str) -> None:
    """Pass a point: nothing at all unless armed. Raises ValueError, when armed, on an undeclared point."""
    if _armed is not None:
        _armed.reach(point)


def _declared(point: str) -> str:
    if point not in POINTS:
        raise ValueError(f"failpoint {point!r} is not declared in POINTS")
    return point
