"""The commands of maintenance; each is one order, done here and now where nobody else holds the collection."""

import typer

from service.console import show
from service.options import Collection, JsonFlag, Limit
from service.session import load_settings, open_jobs, working_settings


def register(app: typer.Typer) -> None:
    """Add these commands to the command line."""
    for command in (collect, compact, reindex, repair, tasks):
        app.command()(command)


def repair(collection: Collection = "default", json: JsonFlag = False) -> None:
    """Take what is damaged out of use and bring files and ledger into agreement; lost documents are done again."""
    from service.core.upkeep import Kind
    from service.tending import show_task, tend

    with tend(load_settings()) as tended:
        done = tended.see_through(tended.orders.place(collection, Kind.REPAIR))
    show(done, show_task, json)
    raise typer.Exit(tended.exit_code(done))


def compact(collection: Collection = "default", json: JsonFlag = False) -> None:
    """Make the large merges that are worth it now, instead of when a worker comes to it."""
    from service.app import make_merger
    from service.ledger import collections
    from service.tending import show_tasks, tend

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
    from service import reindexing

    done, code = reindexing.reindex(settings, collection, silent=json)
    show(done, reindexing.show_reindexed, json)
    raise typer.Exit(code)


def collect(collection: Collection = "default", json: JsonFlag = False) -> None:
    """Remove files that no kept generation needs any more, after their grace; a worker does so by itself."""
    from service.core.upkeep import Kind
    from service.tending import show_task, tend

    with tend(load_settings()) as tended:
        done = tended.see_through(tended.orders.place(collection, Kind.COLLECT))
    show(done, show_task, json)
    raise typer.Exit(tended.exit_code(done))


def tasks(limit: Limit = 20, json: JsonFlag = False) -> None:
    """List maintenance tasks, newest first."""
    from service.maintenance.orders import Orders
    from service.tending import show_tasks

    with open_jobs() as jobs:
        show(Orders(jobs.ledger, jobs.settings).listing(limit=limit), show_tasks, json)
