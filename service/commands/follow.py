"""A job's progress on stderr while somebody waits for it."""

import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Protocol

from service.commands.console import say, span

LINE_SECONDS = 5.0

View = Mapping[str, Any]


class Display(Protocol):
    """Is shown the job again and again."""

    def show(self, view: View) -> None:
        """The job as it is now."""


@contextmanager
def display(silent: bool) -> Iterator[Display]:
    """A bar on a terminal, else a line now and then, or nothing."""
    if silent:
        yield Silence()
    elif not sys.stderr.isatty():
        yield Lines()
    else:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn

        what, numbers = (
            TextColumn(f"{{task.{name}}}", markup=False) for name in ("description", "fields[numbers]")
        )
        with Progress(SpinnerColumn(), what, BarColumn(), numbers, console=Console(stderr=True)) as progress:
            yield Bar(progress, progress.add_task("", total=None, numbers=""))


class Silence:
    """For --json."""

    def show(self, view: View) -> None:
        """Nothing."""


class Lines:
    """A plain line every few seconds, and at every change of state."""

    def __init__(self) -> None:
        self._said: tuple[str, str] = ("", "")
        self._due = 0.0

    def show(self, view: View) -> None:
        """A line, if it is time for one and it says something new."""
        said = (activity(view), numbers(view))
        changed = said[0] != self._said[0]
        if said != self._said and (changed or time.monotonic() >= self._due):
            say("  ".join(said))
            self._said, self._due = said, time.monotonic() + LINE_SECONDS


class Bar:
    """A progress bar with counts, rate and time left."""

    def __init__(self, progress: Any, task: Any) -> None:
        self._progress, self._task = progress, task

    def show(self, view: View) -> None:
        """Move the bar."""
        counts = view["progress"]
        self._progress.update(
            self._task,
            description=activity(view),
            completed=counts["settled"],
            total=counts["total"],
            numbers=numbers(view),
        )


def activity(view: View) -> str:
    """What the job does, or what it waits for."""
    reason = view["reason"] or {}
    if reason and view["state"] in ("queued", "running"):
        return f"{view['state']}: {reason.get('message', reason.get('code'))}"
    return str(view["stage"] or view["state"])


def numbers(view: View) -> str:
    """Documents settled and known, chunks (which grow inside a large document too), rate, time left."""
    counts = view["progress"]
    total = counts["total"] if counts["total"] is not None else f"{counts['discovered']}+"
    told = [f"{counts['settled']}/{total} documents"]
    if counts["chunks"]:
        told.append(f"{counts['chunks']} chunks")
    if counts["rate_per_second"]:
        told.append(f"{counts['rate_per_second']:.1f}/s")
    if counts["eta_seconds"]:
        told.append(f"{span(counts['eta_seconds'])} left")
    return ", ".join(told)
