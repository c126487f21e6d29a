"""The commands that take documents, or a whole collection, out, and let documents in again."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Annotated, Any

import typer

from service.commands.console import show
from service.commands.options import Collection, JsonFlag, one_document
from service.commands.session import load_settings

Documents = Annotated[list[str], typer.Argument(help="Keys of documents, or their ids.")]
Order = Callable[[Any, str, Mapping[str, Any]], dict[str, Any]]


def register(app: typer.Typer) -> None:
    """Add these commands to the command line."""
    app.command()(delete)
    app.command()(drop)
    app.command("restore-document")(restore_document)


def delete(
    documents: Documents,
    collection: Collection = "default",
    purge: Annotated[
        bool, typer.Option("--purge", help="Also remove text and vectors from every generation.")
    ] = False,
    json: JsonFlag = False,
) -> None:
    """Take documents out for good, whether their files stay or not; a file goes with all its records."""
    from service.maintenance.departures import withdraw

    _order(partial(withdraw, purge=purge), documents, collection, json)


def restore_document(
    documents: Documents, collection: Collection = "default", json: JsonFlag = False
) -> None:
    """Let documents that were taken out come back: the next job reads their files anew."""
    from service.maintenance.departures import restore

    _order(restore, documents, collection, json)


def drop(
    collection: Annotated[str, typer.Argument(help="The collection's name.")], json: JsonFlag = False
) -> None:
    """Delete a whole collection, with its jobs and files; a job that is at work on it is cancelled."""
    from service.commands.tending import show_task, tend
    from service.maintenance.departures import drop

    with tend(load_settings()) as tended:
        done = tended.see_through(drop(tended.orders, collection))
    show(done, show_task, json)
    raise typer.Exit(tended.exit_code(done))


def _order(order: Order, documents: Sequence[str], collection: str, json: bool) -> None:
    from service.commands.tending import show_tasks, tend

    with tend(load_settings()) as tended:
        which = [one_document(document, None) for document in documents]
        placed = [order(tended.orders, collection, one) for one in which]
        done = [tended.see_through(task) for task in placed]
        code = max(map(tended.exit_code, done))
    unproven = [task for task in done if (task["result"] or {}).get("verified") is False]
    show({"tasks": done}, show_tasks, json)
    raise typer.Exit(code or int(bool(unproven)))
