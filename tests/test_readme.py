"""The README's table of moves is the program's: tolerant in wording, strict in where a job goes from where."""

import re
from collections.abc import Iterator
from pathlib import Path

from service.core.job import MOVES, State

README = Path(__file__).parent.parent / "README.md"
HEADER = ["from", "what happens", "to"]
NEW = "–"  # the row of a job's creation
OUTCOMES = (State.SUCCEEDED, State.COMPLETED_WITH_ERRORS, State.FAILED)

# The design's own wording, which must be understood as the same moves.
EXAMPLE = """
| from | what happens | to |
|---|---|---|
| – | create | queued (or paused, `start_paused`) |
| queued | lease taken | running |
| queued, interrupted | pause | paused |
| running | pause → committed | pausing → paused |
| pausing | resume | running |
| paused, interrupted, failed | resume | queued (failed: pending and failed items) |
| pausing, cancelling | last batch done first | its outcome |
| queued, paused, interrupted, failed | cancel | cancelled at once |
| running, pausing | cancel → committed | cancelling → cancelled (keeps what is in; roll back separately) |
| running | SIGTERM, crash, lost lease | interrupted |
| pausing | the same | paused, at the last checkpoint |
| cancelling | the same | cancelling, finished by the next holder whatever `auto_resume` says |
| interrupted | `auto_resume` at service start | queued |
| running | a worker lost under a living supervisor | queued, at most three times without a commit |
| running | all done: none / some quarantined | succeeded / completed_with_errors |
| running | threshold, fatal configuration | failed |
| completed_with_errors | retry | queued (failed items only; outcome recomputed) |
"""


def cells_of(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip().strip("|").split("|")]


def rows_of(text: str) -> Iterator[list[str]]:
    """The rows below the header; the table ends at the first line that is no row."""
    lines = iter(text.splitlines())
    next(line for line in lines if cells_of(line.lower()) == HEADER)
    next(lines)
    for line in lines:
        if not line.strip().startswith("|"):
            return
        yield cells_of(line)


def states_in(text: str) -> list[State]:
    """The states that are named; "its outcome" names all of them, and what stands in brackets is an aside."""
    text = re.sub(r"\(.*?\)", "", text)
    if "outcome" in text:
        return list(OUTCOMES)
    return [State(word) for word in re.findall(r"[a-z_]+", text) if word in set(State)]


def pairs_of(row: list[str]) -> Iterator[tuple[State, State]]:
    """From each state to those of the first step, and from these to those of the next step."""
    sources = states_in(row[0])
    for step in row[2].split("→"):
        targets = states_in(step)
        assert targets, f"no state is named in {step!r}"
        yield from ((source, target) for source in sources for target in targets)
        sources = targets


def moves_in(text: str) -> set[tuple[State, State]]:
    return {pair for row in rows_of(text) if row[0] != NEW for pair in pairs_of(row)}


def moves_of_the_program() -> set[tuple[State, State]]:
    return {(state, target) for (state, _), target in MOVES.items()}


def test_the_design_s_wording_is_understood() -> None:
    assert moves_in(EXAMPLE) == moves_of_the_program()


def test_the_readme_s_table_of_moves_is_the_program_s() -> None:
    text = README.read_text()
    assert moves_in(text) == moves_of_the_program()
    assert [row[0] for row in rows_of(text)].count(NEW) == 1
