"""A thread of the pool: takes units, has its child embed them, and answers their futures."""

import threading
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from service.children import PipeClosed
from service.core.space import Space
from service.embedders.link import Link
from service.embedders.tally import Tally
from service.embedders.waiting import Task, Waiting
from service.embedders.watchdog import Watchdog
from service.errors import (
    DocumentFailed,
    EmbedderDied,
    Refused,
    Stopped,
    TidestoneError,
    TooLong,
    Unavailable,
)
from service.ports import Float32Vector

_IN_FLIGHT = 2  # one being worked on, one in the pipe: the child never waits for the parent
_DEATHS_ALONE = 2
_STARTS = 3
_BACKOFF_SECONDS, _MOST_BACKOFF_SECONDS = 0.1, 5.0


@dataclass(frozen=True)
class Shared:
    """What the workers of a pool have in common."""

    model: Path
    space: Space
    waiting: Waiting
    watchdog: Watchdog
    tally: Tally = field(default_factory=Tally)
    closed: threading.Event = field(default_factory=threading.Event)
    serving: set["Worker"] = field(default_factory=set)  # those whose child has loaded the model


class Worker:
    """Starts a child when there is work for it, and another when it dies."""

    def __init__(self, shared: Shared) -> None:
        self._shared = shared
        self._in_flight: deque[list[Task]] = deque()  # sent and unanswered; the child works on the first
        self._failures = 0  # deaths and failed starts since the last answer
        self.link = Link(shared.model, shared.space, shared.watchdog, shared.closed)
        # The kernel ends a child with the *thread* that started it, so this one lives as long as its child.
        self.thread = threading.Thread(target=self._run, name="embedder", daemon=True)

    def _run(self) -> None:
        try:
            while unit := self._next():
                self._in_flight.append(unit)
                self._serve()
        finally:
            self._end()

    def _next(self) -> list[Task]:
        if not self.link.is_up():
            self._shared.closed.wait(self._backoff_seconds())
        return self._shared.waiting.take()

    def _serve(self) -> None:
        """Answer what is in flight and whatever comes up meanwhile."""
        if self.link.is_dead():  # it died at rest: no text is to blame
            self._shared.tally.add_restart(self._end())
        try:
            if not self.link.is_up():
                self._start()
        except (Refused, Unavailable, Stopped) as error:
            self._cannot_start(error)
            return
        try:
            self._converse()
        except (PipeClosed, OSError):
            self._bury()

    def _converse(self) -> None:
        self._send(self._in_flight[0])
        while self._in_flight:
            while len(self._in_flight) < _IN_FLIGHT and (ahead := self._shared.waiting.take_ahead()):
                self._in_flight.append(ahead)
                self._send(ahead)
            header, body = self.link.receive()
            self._settle(self._in_flight.popleft(), header["tokens"], body)
            self._failures = 0

    def _send(self, unit: Sequence[Task]) -> None:
        self.link.send([task.text for task in unit])

    def _settle(self, unit: Sequence[Task], tokens: Sequence[int], body: bytes) -> None:
        space = self._shared.space
        rows = np.frombuffer(body, dtype=np.float32).reshape(len(unit), space.dimensions).copy()
        self._shared.tally.add_tokens(sum(count for count in tokens if count <= space.max_tokens))
        for task, count, row in zip(unit, tokens, rows, strict=True):
            if error := _fault(count, row, space.max_tokens):
                task.future.set_exception(error)
            else:
                task.future.set_result(row)

    def _bury(self) -> None:
        """Units go back to the queue; the texts of the one that was worked on travel alone from now on."""
        reason = self._end()
        suspects, innocent = self._in_flight.popleft(), self._given_up()
        if not self._shared.closed.is_set():
            self._failures += 1
            self._shared.tally.add_restart(reason)
            suspects = _suspected(suspects, reason)
        self._shared.waiting.put_first(suspects + innocent)

    def _start(self) -> None:
        """Get a child that has loaded the model. Raises Refused, Unavailable, Stopped."""
        detail = ""
        for attempt in range(_STARTS):
            if self._shared.closed.wait(self._backoff_seconds() if attempt else 0.0):
                raise Stopped("The embedder was closed.")
            self._failures += 1
            try:
                self.link.start()
            except (PipeClosed, OSError) as error:
                detail = f"{error} {self._end()}".strip()
            else:
                self._shared.serving.add(self)
                return
        advice = "check memory, process limits and what the child wrote to stderr"
        raise Unavailable("embedder_start", f"no child could be started ({detail}): {advice}")

    def _cannot_start(self, error: TidestoneError) -> None:
        """Leave the work to the other children; without any, everything that waits fails."""
        unit = self._given_up()
        if self._shared.serving:
            self._shared.waiting.put_first(unit)
            return
        for task in unit:
            task.future.set_exception(error)
        self._shared.waiting.fail(error)

    def _end(self) -> str:
        self._shared.serving.discard(self)
        return self.link.end()

    def _given_up(self) -> list[Task]:
        tasks = [task for unit in self._in_flight for task in unit]
        self._in_flight.clear()
        return tasks

    def _backoff_seconds(self) -> float:
        """Nothing after one failure: that is bad luck."""
        return min(_MOST_BACKOFF_SECONDS, _BACKOFF_SECONDS * 2.0**self._failures) * (self._failures > 1)


def _suspected(unit: Sequence[Task], reason: str) -> list[Task]:
    """The texts of a unit that ended a child, less one that has done so alone once too often."""
    for task in unit:
        task.deaths += len(unit) == 1
        task.alone = True
        if task.deaths == _DEATHS_ALONE:
            task.future.set_exception(EmbedderDied(f"its child ended {task.deaths} times ({reason})"))
    return [task for task in unit if task.deaths < _DEATHS_ALONE]


def _fault(tokens: int, row: Float32Vector, limit: int) -> DocumentFailed | None:
    """Why this text has no vector."""
    if tokens > limit:
        return TooLong(tokens, limit)
    if not tokens:
        return DocumentFailed("no_tokens", "the model sees nothing in this text")
    if not np.isfinite(row).all():
        return DocumentFailed("not_finite", "the model's numbers overflowed on this text")
    return None
