"""Blow after blow until the budget is used up, and the sum of what was found."""

import random
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock
from typing import Any

from service.embedders.machine import usable_cores
from service.errors import Refused
from service.failpoints import POINTS
from service.selftest.account import FAULTS
from service.selftest.arena import Ground, Outcome, deal, prepare
from service.selftest.blows import Blow, Chooser, parse
from service.selftest.phases import NAMED, NOT_PASSED, PHASES
from service.selftest.victims import Victims

_MEMORY = Path(
    "/dev/shm"
)  # a killed process loses nothing that it wrote, synced or not: a disk shows no more
_ROOM_BYTES = 256 << 20
_MOST_LANES = 4

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Terms:
    """How long, and what: a `repeat` is one blow that was found before."""

    budget_seconds: float = 45.0
    at_least: int = 0
    seed: int = field(default_factory=lambda: random.SystemRandom().randrange(1 << 32))
    folder: Path | None = None
    repeat: str = ""


@dataclass
class Tally:
    """What has been dealt so far."""

    blows: int = 0
    kills: int = 0
    freezes: int = 0
    missed: int = 0
    repaired: int = 0
    faults: Counter[str] = field(default_factory=Counter)
    phases: Counter[str] = field(default_factory=Counter)
    struck: set[str] = field(default_factory=set)
    findings: list[dict[str, Any]] = field(default_factory=list)

    def add(self, outcome: Outcome) -> None:
        """One more blow; it counts if at least one of its strikes was met."""
        met = outcome.kills + outcome.freezes
        self.blows += met > 0
        self.kills += outcome.kills
        self.freezes += outcome.freezes
        self.missed += len(outcome.blow.strikes) - met
        self.repaired += outcome.mended
        self.phases[outcome.blow.phase] += met > 0
        self.struck |= {strike.point for strike in outcome.blow.strikes[:met]}
        self.faults.update({kind for kind, _ in outcome.faults})
        if outcome.faults:
            told = [{"kind": kind, "what": what} for kind, what in outcome.faults]
            self.findings.append({"repeat": str(outcome.blow), "faults": told, "log": outcome.log})


def run(terms: Terms, say: Say) -> dict[str, Any]:
    """Deal blows as the terms say; the report. Raises Refused where it cannot work, BadRequest."""
    again = parse(terms.repeat) if terms.repeat else None
    began = time.monotonic()
    with _folder(terms.folder) as folder, ExitStack() as stack:
        lanes = [
            stack.enter_context(Victims()) for _ in range(1 if again else min(_MOST_LANES, usable_cores()))
        ]
        phases = [NAMED[again.phase]] if again else PHASES
        grounds = _prepare(lanes, phases, folder)
        tally = Tally()
        if again:
            tally.add(deal(lanes[0], grounds[again.phase], again, folder / "blow"))
        else:
            _deal_all(lanes, grounds, terms, began, tally, folder, say)
    return _report(terms, grounds, tally, time.monotonic() - began)


def _prepare(lanes: list[Victims], phases: Any, folder: Path) -> dict[str, Ground]:
    waiting = Lock()
    queue = list(phases)
    grounds: dict[str, Ground] = {}

    def work(victims: Victims) -> None:
        while True:
            with waiting:
                if not queue:
                    return
                phase = queue.pop(0)
            grounds[phase.name] = prepare(victims, phase, folder / phase.name)

    with ThreadPoolExecutor(len(lanes)) as pool:
        for done in [pool.submit(work, lane) for lane in lanes]:
            done.result()
    return {phase.name: grounds[phase.name] for phase in phases}


def _deal_all(
    lanes: list[Victims],
    grounds: Mapping[str, Ground],
    terms: Terms,
    began: float,
    tally: Tally,
    folder: Path,
    say: Say,
) -> None:
    chooser = Chooser(terms.seed, {name: ground.passed for name, ground in grounds.items()})
    lock = Lock()

    def next_blow() -> Blow | None:
        with lock:
            used_up = time.monotonic() - began > terms.budget_seconds and tally.blows >= terms.at_least
            return None if used_up else chooser.draw()

    def work(number: int, victims: Victims) -> None:
        while (blow := next_blow()) is not None:
            outcome = deal(victims, grounds[blow.phase], blow, folder / f"blow-{number}")
            with lock:
                tally.add(outcome)
                if outcome.faults:
                    say(f"{blow}: {outcome.faults[0][0]}: {outcome.faults[0][1]}")

    with ThreadPoolExecutor(len(lanes)) as pool:
        for done in [pool.submit(work, number, lane) for number, lane in enumerate(lanes)]:
            done.result()


def _report(terms: Terms, grounds: Mapping[str, Ground], tally: Tally, seconds: float) -> dict[str, Any]:
    passed: Counter[str] = Counter()
    for ground in grounds.values():
        passed.update(ground.passed)
    return {
        "seed": terms.seed,
        "seconds": round(seconds, 1),
        "points": len(passed),
        "points_struck": len(tally.struck),
        "not_passed": sorted(set(POINTS) - set(passed) - set(NOT_PASSED)) if not terms.repeat else [],
        "phases": {name: tally.phases[name] for name in grounds},
        "blows": tally.blows,
        "kills": tally.kills,
        "freezes": tally.freezes,
        "missed": tally.missed,
        "repaired": tally.repaired,
        **{kind: tally.faults[kind] for kind in FAULTS},
        "findings": tally.findings,
    }


@contextmanager
def _folder(wanted: Path | None) -> Iterator[Path]:
    """A folder of its own, in memory where there is room, that is gone afterwards."""
    within = wanted or (_MEMORY if _has_room(_MEMORY) else None)
    try:
        made = tempfile.TemporaryDirectory(prefix="tidestone-selftest-", dir=within)
    except OSError as error:
        raise Refused(f"The self-test cannot work in {wanted or tempfile.gettempdir()}: {error}.") from error
    with made as folder:
        yield Path(folder)


def _has_room(folder: Path) -> bool:
    try:
        return shutil.disk_usage(folder).free >= _ROOM_BYTES
    except OSError:
        return False
