"""Deal one blow: victims and their successors in a copy of a folder, and what the folder holds in the end."""

import fcntl
import json
import shutil
import sqlite3
from collections import Counter
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from service.errors import TidestoneError
from service.selftest.account import DOUBLED, MANUAL, Account, Fault, faults
from service.selftest.blows import Blow
from service.selftest.phases import Phase
from service.selftest.victims import FINISHED, IDLE, KILLED, LOG, STOPPED, Ended, Victims

_LOG_LINES = 15


@dataclass(frozen=True, slots=True)
class Ground:
    """A phase's folder as it stands before, how often its points are passed, and how it ends uninterrupted."""

    phase: Phase
    folder: Path
    passed: Counter[str]
    truth: Mapping[str, Account]


@dataclass(slots=True)
class Outcome:
    """What became of a blow. A strike that was never met (timing made fewer commits) is in neither number."""

    blow: Blow
    kills: int = 0
    freezes: int = 0
    mended: bool = False  # the next start found something to mend
    faults: list[Fault] = field(default_factory=list)
    log: list[str] = field(default_factory=list)


class SetUpFailed(TidestoneError):
    """A phase does not even work without a blow; carries what was found."""


def prepare(victims: Victims, phase: Phase, folder: Path) -> Ground:
    """Set a phase up, and run it uninterrupted on a copy. Raises SetUpFailed."""
    origin, copy = folder / "origin", folder / "truth"
    origin.mkdir(parents=True)
    _require(FINISHED, _do(victims, phase, origin, "prepare"), origin)
    if phase.crash:
        _require(KILLED, _do(victims, phase, origin, "act", phase.crash), origin)
    _require(FINISHED, _do(victims, phase, origin, "spoil"), origin)
    _copy(origin, copy)
    _require(FINISHED, _do(victims, phase, copy, "act", f"record={copy / 'passed'}"), copy)
    _require(FINISHED, _do(victims, phase, copy, "ending"), copy)
    truth = _ending(phase, copy)
    if wrong := faults(truth, truth):
        raise SetUpFailed(f"Phase {phase.name} goes wrong without any blow: {wrong}")
    passed = Counter((copy / "passed").read_text().split())
    return Ground(phase, origin, passed, truth)


def deal(victims: Victims, ground: Ground, blow: Blow, folder: Path) -> Outcome:
    """Deal it in a folder that is made and removed again."""
    outcome = Outcome(blow)
    _copy(ground.folder, folder)
    try:
        _Fight(victims, ground.phase, folder, outcome).fight()
        ended = _do(victims, ground.phase, folder, "ending")
        if ended == FINISHED:
            outcome.faults += faults(_ending(ground.phase, folder), ground.truth)
        else:
            outcome.faults.append((MANUAL, f"start-up ended with {ended}"))
    finally:
        if outcome.faults:
            outcome.log = (folder / LOG).read_text(errors="replace").splitlines()[-_LOG_LINES:]
        shutil.rmtree(folder)
    return outcome


@dataclass
class _Fight:
    victims: Victims
    phase: Phase
    folder: Path
    outcome: Outcome
    frozen: int | None = None
    tokens: set[tuple[str, int]] = field(default_factory=set)  # of the leases when it was frozen

    def fight(self) -> None:
        """Strike after strike, then a successor that nothing strikes; who is frozen wakes after it, or beside it."""
        for strike in self.outcome.blow.strikes:
            pid, ended = self._successor(str(strike))
            if ended == KILLED:
                self.outcome.kills += 1
            elif ended == STOPPED:
                self.outcome.freezes += 1
                self.frozen, self.tokens = pid, _tokens(self.folder)
            else:
                self._require_an_end(ended)
        self.outcome.mended = self._has_traces()
        _, ended = self._successor("")
        self._require_an_end(ended)
        if self.frozen is not None:
            self._thaw_and_see_that_nothing_changes(self.frozen)

    def _successor(self, arm: str) -> tuple[int, Ended]:
        pid = self.victims.start(self.folder, arm, f"{self.phase.name}.act", **self.phase.settings)
        if self.frozen is None or not _keeps_a_lock(self.folder):
            return pid, self.victims.wait(pid)
        # It keeps a lock that the successor needs: they are both at work, the one late and the other early.
        frozen, self.frozen = self.frozen, None
        self.victims.thaw(frozen)
        ended = self.victims.wait(pid)
        self._require_an_end(self.victims.wait(frozen))
        return pid, ended

    def _thaw_and_see_that_nothing_changes(self, frozen: int) -> None:
        before, is_fenced = _dump(self.folder), _tokens(self.folder) != self.tokens
        self.victims.thaw(frozen)
        self._require_an_end(self.victims.wait(frozen))
        changed = before ^ _dump(self.folder)
        if changed and is_fenced:  # else its successor found nothing to do, and it still has its lease
            said = f"woke after its lease and changed {sorted(changed)[:3]}"
            self.outcome.faults.append((DOUBLED, said))

    def _require_an_end(self, ended: Ended) -> None:
        if ended not in (FINISHED, IDLE):
            self.outcome.faults.append((MANUAL, f"a process ended otherwise than it should: {ended}"))

    def _has_traces(self) -> bool:
        self._require_an_end(self.victims.run(self.folder, do="traces"))
        found: bool = json.loads((self.folder / "traces.json").read_text())["found"]
        return found


def _do(victims: Victims, phase: Phase, folder: Path, part: str, arm: str = "") -> Ended:
    return victims.run(folder, arm, f"{phase.name}.{part}", **phase.settings)


def _ending(phase: Phase, folder: Path) -> dict[str, Account]:
    ending: dict[str, Account] = json.loads((folder / f"{phase.name}.ending.json").read_text())
    return ending


def _require(wanted: Ended, ended: Ended, folder: Path) -> None:
    if ended != wanted:
        log = (folder / LOG).read_text(errors="replace")
        raise SetUpFailed(f"A phase cannot be set up: {ended} instead of {wanted}.\n{log}")


def _copy(origin: Path, to: Path) -> None:
    """Ledger, files and backups are copied; the library is shared, since a copied file is a changed file."""
    to.mkdir()
    (to / "library").symlink_to(origin / "library")
    for folder in origin.iterdir():
        if folder.is_dir() and folder.name != "library":
            shutil.copytree(folder, to / folder.name)


def _keeps_a_lock(folder: Path) -> bool:
    """Whether a frozen process keeps others from writing the ledger, or from publishing."""
    locks = folder.glob("data/collections/*/publish.lock")
    return _ledger_is_locked(folder) or any(_is_locked(path) for path in locks)


def _is_locked(path: Path) -> bool:
    with path.open() as opened:
        try:
            fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def _ledger_is_locked(folder: Path) -> bool:
    with closing(_open(folder)) as database:
        try:
            database.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError:
            return True
        database.execute("ROLLBACK")
    return False


def _dump(folder: Path) -> set[tuple[str, str]]:
    """Every row of the ledger, and what is published: all that a process without a lease may not touch."""
    with closing(_open(folder)) as c:
        names = [name for (name,) in c.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        names = [name for name in names if name != "leases"]  # who had none yet may take it, and let go
        rows = {(name, repr(row)) for name in names for row in c.execute(f'SELECT * FROM "{name}"')}
    manifests = folder.glob("data/collections/*/manifest.json")
    return rows | {(path.parent.name, path.read_text(errors="replace")) for path in manifests}


def _tokens(folder: Path) -> set[tuple[str, int]]:
    with closing(_open(folder)) as c:
        return set(c.execute("SELECT collection_id, token FROM leases"))


def _open(folder: Path) -> sqlite3.Connection:
    return sqlite3.connect(folder / "data" / "tidestone.db", timeout=0, isolation_level=None)
