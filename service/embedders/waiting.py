"""Texts waiting for a child, handed out in units."""

import threading
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from itertools import islice

from service.errors import Stopped, TidestoneError
from service.ports import Float32Vector

UNIT_TEXTS = 4
SHORT_UNIT_CHARACTERS = 2_000  # short texts share a unit up to here, so that a decode can be filled
SHORT_UNIT_TEXTS = 64
# A unit sent ahead must fit the pipe (64 KiB) whole: a parent that blocks in writing while its child blocks
# in answering would wait for ever. A character has at most 4 bytes.
AHEAD_CHARACTERS = 12_000

_CLOSED = "The embedder was closed."


@dataclass(eq=False)
class Task:
    """One text and its future."""

    text: str
    future: Future[Float32Vector] = field(default_factory=Future)
    alone: bool = False  # was in a unit that killed its child: travels alone from now on
    deaths: int = 0  # children killed while it travelled alone
    claimed: bool = False

    def claim(self) -> bool:
        """Whether somebody still wants it; afterwards it can no longer be cancelled."""
        self.claimed = self.claimed or self.future.set_running_or_notify_cancel()
        return self.claimed


class Waiting:
    """A queue of texts that threads wait on without using the CPU."""

    def __init__(self, children: int) -> None:
        self._children = children
        self._tasks: deque[Task] = deque()
        self._changed = threading.Condition()
        self._closed = False

    def put(self, task: Task, urgent: bool = False) -> None:
        """Last in line, or first if urgent. Raises Stopped when closed."""
        with self._changed:
            if self._closed:
                raise Stopped(_CLOSED)
            (self._tasks.appendleft if urgent else self._tasks.append)(task)
            self._changed.notify()

    def put_first(self, tasks: Sequence[Task]) -> None:
        """Back to the front, in the order given; answered with Stopped when closed."""
        with self._changed:
            if not self._closed:
                self._tasks.extendleft(reversed(tasks))
                self._changed.notify(len(tasks))
                return
        _stop(tasks)

    def take(self) -> list[Task]:
        """Wait for a unit of claimed tasks; empty only when closed."""
        with self._changed:
            while not self._closed:
                if unit := self._unit():
                    return unit
                self._changed.wait()
        return []

    def take_ahead(self) -> list[Task]:
        """A unit that fits the pipe, if there is one now; else empty."""
        with self._changed:
            if sum(len(task.text) for task in islice(self._tasks, UNIT_TEXTS)) > AHEAD_CHARACTERS:
                return []
            return self._unit()

    def fail(self, error: TidestoneError) -> None:
        """Answer everything that waits with `error`."""
        with self._changed:
            tasks = list(self._tasks)
            self._tasks.clear()
        for task in tasks:
            if task.claim():
                task.future.set_exception(error)

    def close(self) -> None:
        """Cancel everything that waits and let the takers go."""
        with self._changed:
            self._closed = True
            tasks = list(self._tasks)
            self._tasks.clear()
            self._changed.notify_all()
        _stop([task for task in tasks if not task.future.cancel()])  # those that were in a child that died

    def _unit(self) -> list[Task]:
        unit: list[Task] = []
        characters = 0
        share = -(-len(self._tasks) // self._children)  # the last texts of all are dealt out evenly
        while self._tasks and self._joins(self._tasks[0], len(unit), characters, share):
            task = self._tasks.popleft()
            if task.claim():
                unit.append(task)
                characters += len(task.text)
                if task.alone:
                    break
        return unit

    def _joins(self, task: Task, texts: int, characters: int, share: int) -> bool:
        if not texts:
            return True
        if task.alone or texts >= share:
            return False
        short = texts < SHORT_UNIT_TEXTS and characters + len(task.text) <= SHORT_UNIT_CHARACTERS
        return short or texts < UNIT_TEXTS


def _stop(tasks: Sequence[Task]) -> None:
    for task in tasks:
        task.future.set_exception(Stopped(_CLOSED))
