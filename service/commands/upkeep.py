"""The commands of maintenance; each is one order, done here and now where nobody else holds the collection."""

from typing import Annotated, NoReturn

import typer

from service.commands.console import show, show_facts
from service.commands.options import Collection, JsonFlag, Limit
from service.commands.session import load_settings, open_jobs, working_settings
from service.errors import BadRequest


def register(app: typer.Typer) -> None:
    """Add these commands to the command line."""
    for command in (collect, compact, reindex, repair, tasks):
        app.command()(command)


def repair(
    collection: Collection = "default",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be done.")] = False,
    rebuild: Annotated[
        bool, typer.Option("--rebuild", help="Make a lost or damaged ledger anew, of all collections.")
    ] = False,
    adopt: Annotated[
        bool, typer.Option("--adopt", help="With --rebuild: also folders that other ledgers have made.")
    ] = False,
    json: JsonFlag = False,
) -> None:
    """Hash every file, and mend what is damaged; only documents that nothing else holds are done again."""
    from service.commands.tending import show_task, tend
    from service.core.upkeep import Kind

    if rebuild:
        _rebuild(adopt, json)
    if adopt:
        raise BadRequest("--adopt goes with --rebuild.")
    with tend(load_settings()) as tended:
        order = tended.orders.place(collection, Kind.REPAIR, {"dry_run": dry_run})
        done = tended.see_through(order)
    show(done, show_task, json)
    raise typer.Exit(tended.exit_code(done))


def _rebuild(adopt: bool, json: bool) -> NoReturn:
    """Then every collection climbs the start-up ladder, which publishes what is missing."""
    from service.commands.tending import tend
    from service.core.upkeep import Kind
    from service.maintenance.rebuild import rebuild

    settings = load_settings()
    told = rebuild(settings.data_dir, adopt)
    with tend(settings) as tended:
        orders = [tended.orders.place(name, Kind.REPAIR) for name in told["collections"]]
        done = [tended.see_through(order) for order in orders]
    for task in done:
        told["collections"][task["collection"]] |= {"repair": task["state"], "error": task["error"]}
    show(told, show_facts, json)
    raise typer.Exit(max((tended.exit_code(task) for task in done), default=0))


def compact(collection: Collection = "default", json: JsonFlag = False) -> None:
    """Make the large merges that are worth it now, instead of when a worker comes to it."""
    from service.app import make_merger
    from service.commands.tending import show_tasks, tend
    from service.ledger import collections

    settings, done = load_settings(), []
    with tend(settings) as tended:
        merger = make_merger(settings, tended.orders.ledger)
        with tended.orders.ledger.read() as c:
            row = collections.by_name(c, collection)
        while (task := merger.merge_one(row, tended.stop)) is not None:
            done.append(tended.see_through(tended.orders.get(task.id)))
    show({"tasks": done}, show_tasks, json)


def reindex(collection: Collection = "default", json: JsonFlag = False) -> None:
    """Embed a collection anew with the configured model, from its stored texts; the same command again goes on."""
    settings = working_settings()
    from service.commands import reindexing

    done, code = reindexing.reindex(settings, collection, silent=json)
    show(done, reindexing.show_reindexed, json)
    raise typer.Exit(code)


def collect(collection: Collection = "default", json: JsonFlag = False) -> None:
    """Remove files that no kept generation needs any more, after their grace; a worker does so by itself."""
    from service.commands.tending import show_task, tend
    from service.core.upkeep import Kind

    with tend(load_settings()) as tended:
        done = tended.see_through(tended.orders.place(collection, Kind.COLLECT))
    show(done, show_task, json)
    raise typer.Exit(tended.exit_code(done))


def tasks(limit: Limit = 20, json: JsonFlag = False) -> None:
    """List maintenance tasks, newest first."""
    from service.commands.tending import show_tasks
    from service.maintenance.orders import Orders

    with open_jobs() as jobs:
        show(Orders(jobs.ledger, jobs.settings).listing(limit=limit), show_tasks, json)
