"""Blow after blow until the budget is used up."""

import random
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Event, Lock
from typing import Any

from service.embedders.machine import usable_cores
from service.errors import Refused
from service.selftest.arena import Ground, Outcome, deal, prepare
from service.selftest.blows import Blow, Chooser, parse
from service.selftest.cold import Cold
from service.selftest.phases import NAMED, PHASES, Phase
from service.selftest.tally import Tally
from service.selftest.victims import Victims

_MEMORY = Path(
    "/dev/shm"
)  # a killed process loses nothing that it wrote, synced or not: a disk shows no more
_ROOM_BYTES = 256 << 20
_MOST_LANES = 4
_SECONDS_PER_COLD = 40.0

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Terms:
    """How much, and what: it ends when both the budget is used up and `at_least` blows are dealt."""

    budget_seconds: float = 45.0
    at_least: int = 0
    seed: int = field(default_factory=lambda: random.SystemRandom().randrange(1 << 32))
    folder: Path | None = None  # works below it; None: in memory, or where temporary files are
    repeat: str = ""  # one blow, as it was printed, and no other


@dataclass
class Campaign:
    """Lanes deal blows side by side, each with a warm process of its own."""

    terms: Terms
    folder: Path
    lanes: list[Victims]
    say: Say
    grounds: dict[str, Ground] = field(default_factory=dict)
    tally: Tally = field(default_factory=Tally)
    began: float = field(default_factory=time.monotonic)
    stop: Event = field(default_factory=Event)
    lock: Lock = field(default_factory=Lock)

    def fight(self) -> None:
        """Set the phases up, then deal blows. Raises SetUpFailed."""
        self._prepare(PHASES)
        passings = {phase.name: self.grounds[phase.name].passed for phase in PHASES}
        chooser = Chooser(self.terms.seed, passings)
        with ThreadPoolExecutor(1) as pool:
            cold = pool.submit(self._work_cold)
            self._on_every_lane(lambda lane: self._deal(lane, chooser))
            cold.result()

    def repeat(self, blow: Blow) -> None:
        """Deal this one only."""
        self._prepare([NAMED[blow.phase]])
        self._note(self._struck(0, blow))

    def _prepare(self, phases: "list[Phase] | tuple[Phase, ...]") -> None:
        waiting: SimpleQueue[Phase] = SimpleQueue()
        for phase in phases:
            waiting.put(phase)

        def work(lane: int) -> None:
            while not self.stop.is_set():
                try:
                    phase = waiting.get_nowait()
                except Empty:
                    return
                self.grounds[phase.name] = prepare(self.lanes[lane], phase, self.folder / phase.name)

        self._on_every_lane(work)

    def _on_every_lane(self, work: Callable[[int], None]) -> None:
        """What one of them raises ends the others, and so does Ctrl-C."""
        with ThreadPoolExecutor(len(self.lanes)) as pool:
            try:
                for done in [pool.submit(work, lane) for lane in range(len(self.lanes))]:
                    done.result()
            except BaseException:
                self.stop.set()
                raise

    def _deal(self, lane: int, chooser: Chooser) -> None:
        while not self._is_over():
            with self.lock:
                blow = chooser.draw()
            self._note(self._struck(lane, blow))

    def _is_over(self) -> bool:
        used_up = time.monotonic() - self.began > self.terms.budget_seconds
        return self.stop.is_set() or (used_up and self.tally.blows >= self.terms.at_least)

    def _struck(self, lane: int, blow: Blow) -> Outcome:
        return deal(self.lanes[lane], self.grounds[blow.phase], blow, self.folder / f"blow-{lane}")

    def _note(self, outcome: Outcome) -> None:
        with self.lock:
            self.tally.add(outcome)
        for kind, what in outcome.faults:
            self.say(f"{kind}: {what}, after {outcome.blow}")

    def _work_cold(self) -> None:
        kills = int(self.terms.budget_seconds // _SECONDS_PER_COLD)
        cold = Cold.of(self.folder / "cold") if kills else None
        if cold is None:
            return
        for arm, killed, faults in cold.sample(random.Random(self.terms.seed), kills):
            with self.lock:
                self.tally.add_cold(arm, killed, faults)
            for kind, what in faults:
                self.say(f"{kind}: {what}, after a whole process met {arm}")
            if self._is_over():
                return


def run(terms: Terms, say: Say) -> dict[str, Any]:
    """Deal blows as the terms say; the report. Raises Refused where it cannot work, and BadRequest."""
    again = parse(terms.repeat) if terms.repeat else None
    count = 1 if again else min(_MOST_LANES, usable_cores())
    began = time.monotonic()
    with _folder(terms.folder) as folder, ExitStack() as stack:
        lanes = [stack.enter_context(Victims()) for _ in range(count)]
        campaign = Campaign(terms, folder, lanes, say)
        if again:
            campaign.repeat(again)
        else:
            campaign.fight()
    report = campaign.tally.report(campaign.grounds)
    return {"seed": terms.seed, "seconds": round(time.monotonic() - began, 1), **report}


@contextmanager
def _folder(wanted: Path | None) -> Iterator[Path]:
    """A folder of its own, in memory where there is room, that is gone afterwards."""
    within = wanted or (_MEMORY if _has_room(_MEMORY) else None)
    try:
        made = tempfile.TemporaryDirectory(prefix="tidestone-selftest-", dir=within)
    except OSError as error:
        raise Refused(f"The self-test cannot work in {within or tempfile.gettempdir()}: {error}.") from error
    with made as folder:
        yield Path(folder)


def _has_room(folder: Path) -> bool:
    try:
        return shutil.disk_usage(folder).free >= _ROOM_BYTES
    except OSError:
        return False
