"""A blow: where processes are killed or frozen, one after the other, in which phase."""

import random
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from service.errors import BadRequest
from service.failpoints import POINTS
from service.selftest.phases import NAMED

Passings = Mapping[str, Counter[str]]  # phase -> point -> how often an uninterrupted run passes it

_STRIKE = re.compile(r"([a-z.]+)=(kill|stop)@([1-9]\d*)")
# How blows are shared out. At most two strikes: a document that is alone in hand at a third end is set aside, as it
# must be, and then a person has to look.
_SHAPES: tuple[tuple[str, ...], ...] = (
    (("kill",),) * 10 + (("stop",),) * 5 + (("kill", "kill"),) * 3 + (("kill", "stop"), ("stop", "kill"))
)


@dataclass(frozen=True, slots=True)
class Strike:
    """One process meets it, when it passes a point for the n-th time."""

    point: str
    passing: int
    action: str  # kill, or stop: frozen until another has taken over

    def __str__(self) -> str:
        return f"{self.point}={self.action}@{self.passing}"


@dataclass(frozen=True, slots=True)
class Blow:
    """Strikes against a process, its successor, and so on; as text: "phase:point=kill@3,point=stop@1"."""

    phase: str
    strikes: tuple[Strike, ...]

    def __str__(self) -> str:
        return f"{self.phase}:{','.join(map(str, self.strikes))}"


def parse(text: str) -> Blow:
    """Reverse of `str(blow)`. Raises BadRequest."""
    phase, _, rest = text.partition(":")
    found = [_STRIKE.fullmatch(strike) for strike in rest.split(",")]
    strikes = tuple(Strike(match[1], int(match[3]), match[2]) for match in found if match)
    if phase not in NAMED or len(strikes) != len(found) or any(s.point not in POINTS for s in strikes):
        raise BadRequest(
            f"{text!r} is no blow: take one as it was printed, such as 'later:ledger.before=kill@3'."
        )
    return Blow(phase, strikes)


class Chooser:
    """Draws blows: the same seed draws the same ones, phase after phase in turn."""

    def __init__(self, seed: int, passings: Passings) -> None:
        self._chance, self._passings = random.Random(seed), passings
        self._drawn = 0
        self._untried = {name: sorted(points) for name, points in passings.items()}
        for points in self._untried.values():
            self._chance.shuffle(points)

    def draw(self) -> Blow:
        """The next blow; every point of a phase is the first to strike once, before one is for the second time."""
        phase = list(self._passings)[self._drawn % len(self._passings)]
        self._drawn += 1
        shape = self._chance.choice(_SHAPES)
        if not NAMED[phase].freezes:
            shape = ("kill",) * len(shape)
        first = self._strike(phase, self._next_point(phase), shape[0])
        return Blow(phase, (first, *(self._later_strike(phase, action) for action in shape[1:])))

    def _next_point(self, phase: str) -> str:
        points = self._untried[phase]
        if not points:
            points += sorted(self._passings[phase])
            self._chance.shuffle(points)
        return points.pop()

    def _later_strike(self, phase: str, action: str) -> Strike:
        return self._strike(phase, self._chance.choice(sorted(self._passings[phase])), action, share=2)

    def _strike(self, phase: str, point: str, action: str, share: int = 1) -> Strike:
        passings = self._passings[phase][point] // share  # a successor has less to do
        return Strike(point, self._chance.randint(1, max(1, passings)), action)
