"""The sum of what a self-test has dealt and found."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from service.failpoints import POINTS
from service.selftest.account import FAULTS, Fault
from service.selftest.arena import Ground, Outcome
from service.selftest.phases import NOT_PASSED


@dataclass
class Tally:
    """Counts, and one finding for each blow after which something was wrong."""

    blows: int = 0
    kills: int = 0
    freezes: int = 0
    missed: int = 0
    repaired: int = 0
    cold: int = 0
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
        self._note(str(outcome.blow), outcome.faults, outcome.log)

    def add_cold(self, arm: str, killed: bool, faults: Sequence[Fault]) -> None:
        """One more run of a whole process with the real model."""
        self.blows += killed
        self.kills += killed
        self.cold += killed
        self.missed += not killed
        self._note(f"cold:{arm}", faults, ())

    @property
    def sound(self) -> bool:
        """Whether nothing was wrong."""
        return not self.findings

    def report(self, grounds: Mapping[str, Ground]) -> dict[str, Any]:
        """As the command prints it: each of lost, doubled, unreadable and manual is a number of blows."""
        passed = {point for ground in grounds.values() for point in ground.passed}
        return {
            "points": len(passed),
            "points_struck": len(self.struck),
            "points_not_passed": sorted(set(POINTS) - passed - set(NOT_PASSED)),
            "phases": {name: self.phases[name] for name in grounds},
            "blows": self.blows,
            "kills": self.kills,
            "freezes": self.freezes,
            "missed": self.missed,
            "cold": self.cold,
            "repaired": self.repaired,
            **{kind: self.faults[kind] for kind in FAULTS},
            "findings": self.findings,
        }

    def _note(self, repeat: str, faults: Sequence[Fault], log: Sequence[str]) -> None:
        self.faults.update({kind for kind, _ in faults})
        if faults:
            told = [{"kind": kind, "what": what} for kind, what in faults]
            self.findings.append({"repeat": repeat, "faults": told, "log": list(log)})
