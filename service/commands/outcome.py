"""How `tidestone ingest` ended, wherever the work was done."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from service.commands.cases import View
from service.core.job import State
from service.errors import Conflict

SHOWN_FAILURES = 5
INTERRUPTED = 130
EXIT_CODES = {State.SUCCEEDED: 0, State.COMPLETED_WITH_ERRORS: 3, State.FAILED: 1, State.CANCELLED: 1}


@dataclass(frozen=True, slots=True)
class Intent:
    """What the command line says beyond the order."""

    given: Mapping[str, Any]  # the job options that were named; what is not named does not have to agree
    resume: bool = False  # go on with the unfinished job as it was ordered; there must be one
    fresh: bool = False  # cancel it and do everything again


def exit_code(state: State) -> int:
    """The command's."""
    return EXIT_CODES.get(state, INTERRUPTED)


def refuse_another(unfinished: View, theirs: View, ours: View, ways_out: str) -> None:
    """Raise Conflict when the command names something else than the unfinished job was ordered with."""
    told = {name: "as configured" if value is None else repr(value) for name, value in theirs.items()}
    differing = [
        f"{name} {told[name]} there, {value!r} here" for name, value in ours.items() if value != theirs[name]
    ]
    if differing:
        raise Conflict(
            f"Job {unfinished['id']} of this source is {unfinished['state']} and was ordered otherwise "
            f"({'; '.join(differing)}): {ways_out}"
        )


def report(first: View, last: View, seconds: float, before: View, after: View) -> dict[str, Any]:
    """What was done between two looks at a job, and at its collection ({}: there was none)."""
    done = last["progress"]["done"] - first["progress"]["done"]
    return {
        "job": last,
        "documents": done,
        "documents_per_minute": round(60 * done / seconds, 1),
        "seconds": round(seconds, 3),
        "checkpoints": after.get("checkpoints", 0) - before.get("checkpoints", 0),
        "collection": after,
    }
