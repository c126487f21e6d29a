"""The way to one child: started, watched, ended, and started again."""

import json
import signal
import threading
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from service.children import Child, spawn
from service.core.space import Space
from service.embedders.messages import join_texts
from service.embedders.watchdog import Watchdog
from service.errors import Refused

_SIGNALS = {-number.value: number.name.lower() for number in signal.Signals}  # by exit status


class Link:
    """Used by one thread, which starts the child and outlives it; only `kill` and `pid` are for others.

    Everything that talks to the child raises PipeClosed or OSError when the child is gone; a child that keeps
    silent for the watchdog's seconds is killed first.
    """

    def __init__(self, model: Path, space: Space, watchdog: Watchdog, closed: threading.Event) -> None:
        self._arguments = [str(model), json.dumps(asdict(space))]
        self._watchdog, self._closed = watchdog, closed
        self._child: Child | None = None
        self._hung = False

    @property
    def pid(self) -> int | None:
        """The child's process id, from its start until it has been reaped."""
        child = self._child
        return child.process.pid if child else None

    def is_up(self) -> bool:
        """Whether there is a child that has not been ended, dead or alive."""
        return self._child is not None

    def is_dead(self) -> bool:
        """Whether there is a child that has died on its own."""
        return self._child is not None and self._child.process.poll() is not None

    def start(self) -> None:
        """Start a child and wait until it has loaded the model. Raises Refused too."""
        self._child = spawn("service.embedders.llama_child", self._arguments)
        if self._closed.is_set():  # `kill` may have come before there was a child
            self._child.kill()
        first, _ = self.receive()
        if "refused" in first:
            self.end()
            raise Refused(first["refused"])

    def send(self, texts: Sequence[str]) -> None:
        """Hand over a unit."""
        lengths, body = join_texts(texts)
        with self._watchdog.or_else(self._hang):
            self._up().send({"bytes": lengths}, body)

    def receive(self) -> tuple[dict[str, Any], bytes]:
        """Wait for the next answer."""
        with self._watchdog.or_else(self._hang):
            return self._up().receive()

    def end(self) -> str:
        """Kill and reap the child; returns "hung", the name of the signal that ended it, or "exited"."""
        child, self._child = self._child, None
        hung, self._hung = self._hung, False
        status = child.reap() if child else 0
        return "hung" if hung else _SIGNALS.get(status, "exited")

    def kill(self) -> None:
        """End the child at once; its thread sees PipeClosed."""
        child = self._child
        if child:
            child.kill()

    def _up(self) -> Child:
        assert self._child is not None, "start comes first"
        return self._child

    def _hang(self) -> None:
        self._hung = True
        self.kill()
