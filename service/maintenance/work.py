"""One task in the hands of the lease's holder."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection

from service.engine.holding import Holding
from service.ledger import tasks
from service.ledger.database import AnyRow
from service.ports import Embedder

Result = Mapping[str, Any]


class Dropped(Exception):
    """The collection is gone, and with it the lease; the task has ended."""


@dataclass(frozen=True, slots=True)
class Work:
    """What a duty is given: the task's row, the holding, and a check that raises when the work must stop."""

    task: AnyRow
    holding: Holding
    check: Callable[[], None]
    embedder: Embedder | None = None  # where the process has one

    @property
    def options(self) -> Mapping[str, Any]:
        """What was ordered."""
        options: Mapping[str, Any] = self.task.options
        return options

    def done(self, result: Result) -> Callable[[Connection], None]:
        """Finishes the task in the transaction that makes its result true: it is never done twice."""
        return lambda c: tasks.finish(c, self.task.id, result)


@dataclass(frozen=True, slots=True)
class Duty:
    """How a kind of task is done.

    `run` returns the task's result. It may be called again after a crash at any point: what it has made true it
    must find so, or have finished the task with (`Work.done`). Refusals (Refused, Conflict, BadRequest, NotFound) end
    the task as failed, and must come before anything is written. `as_it_is`: it is given a collection that no start-up
    ladder has climbed, since the ladder itself may refuse.
    """

    run: Callable[[Work], Result]
    as_it_is: bool = False
