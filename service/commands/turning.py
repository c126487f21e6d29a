"""The commands that compare generations of a collection, keep them, and go back to them."""

from collections.abc import Mapping
from typing import Annotated, Any

import typer

from service.bounds import MOST_ID
from service.commands.console import say, show, show_facts, show_table
from service.commands.options import Collection, Cursor, JsonFlag, Limit
from service.commands.session import load_settings, open_jobs
from service.errors import BadRequest

View = Mapping[str, Any]


def _generation(value: int | None) -> int | None:
    if value is not None and not 0 <= value <= MOST_ID:
        raise BadRequest(f"{str(value)[:20]} is no generation: `tidestone checkpoints` lists them.")
    return value


Generation = Annotated[int, typer.Argument(help="The generation.", callback=_generation)]


def register(app: typer.Typer) -> None:
    """Add these commands to the command line."""
    for command in (rollback, diff, pin, unpin):
        app.command()(command)


def rollback(
    generation: Generation,
    preview: Annotated[bool, typer.Option("--preview", help="Only say what would change.")] = False,
    job: Annotated[
        list[str] | None,
        typer.Option(help="An unfinished job that may lose what it has committed since, and do it again."),
    ] = None,
    revive_deleted: Annotated[
        bool, typer.Option("--revive-deleted", help="Also bring back documents that somebody has deleted.")
    ] = False,
    collection: Collection = "default",
    json: JsonFlag = False,
) -> None:
    """Make a collection what it was at an earlier generation; that can be rolled back too."""
    from service.commands.tending import show_task, tend
    from service.maintenance.generations import Generations, Turn

    turn = Turn(generation, tuple(job or ()), revive_deleted)
    if preview:
        with open_jobs() as jobs:
            told = Generations(jobs.ledger).preview(collection, turn)
        show(told, _show_preview, json)
        raise typer.Exit(1 if told["refused"] else 0)
    with tend(load_settings()) as tended:
        done = tended.see_through(Generations(tended.orders.ledger).order(collection, turn))
    show(done, show_task, json)
    raise typer.Exit(tended.exit_code(done))


def diff(
    start: Generation,
    end: Annotated[
        int | None, typer.Argument(help="Another one; the newest if left out.", callback=_generation)
    ] = None,
    collection: Collection = "default",
    limit: Limit = 100,
    cursor: Cursor = None,
    json: JsonFlag = False,
) -> None:
    """Show how two generations of a collection differ."""
    from service.maintenance.generations import Generations

    with open_jobs() as jobs:
        told = Generations(jobs.ledger).diff(collection, start, end, cursor, limit)
    show(told, _show_diff, json)


def pin(generation: Generation, collection: Collection = "default", json: JsonFlag = False) -> None:
    """Keep a generation until it is unpinned."""
    _pin(generation, collection, True, json)


def unpin(generation: Generation, collection: Collection = "default", json: JsonFlag = False) -> None:
    """Keep a generation no longer than others."""
    _pin(generation, collection, False, json)


def _pin(generation: int, collection: str, pinned: bool, json: bool) -> None:
    from service.maintenance.generations import Generations

    with open_jobs() as jobs:
        show(Generations(jobs.ledger).pin(collection, generation, pinned), show_facts, json)


def _show_diff(told: View) -> None:
    counts = ", ".join(f"{told[name]} {name}" for name in ("added", "changed", "removed"))
    print(f"{told['collection']} from generation {told['from']} to {told['to']}: {counts}")
    columns = ("change", "key", "before", "after")
    show_table(columns, [[each[name] for name in columns] for each in told["documents"]])


def _show_preview(told: View) -> None:
    _show_diff(told)
    if told["left_out"]:
        say(f"{told['left_out']} documents stay deleted; --revive-deleted brings them back too.")
    for job in told["jobs"]:
        say(f"Job {job['id']} is {job['state']} and has committed since.")
    if told["refused"]:
        say(f"Refused: {told['refused']}")
