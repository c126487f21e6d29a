"""The commands of backups: make one while the service goes on, list them, bring one back."""

from pathlib import Path
from typing import Annotated, Any

import typer

from service.commands.console import say, show, show_facts, show_table, size
from service.commands.options import JsonFlag
from service.commands.session import load_settings, open_jobs

Folder = Annotated[Path, typer.Argument(help="The folder that holds the backups, one folder each.")]


def register(app: typer.Typer) -> None:
    """Add these commands to the command line."""
    app.command()(backup)
    app.command()(backups)
    app.command()(restore)


def backup(folder: Folder, json: JsonFlag = False) -> None:
    """Copy ledger and collections to a new folder below FOLDER, while the service goes on; every file is hashed."""
    from service.maintenance.backup import back_up

    settings = load_settings()
    with open_jobs(settings) as jobs:
        made = back_up(jobs.ledger, settings.data_dir, folder.absolute())
    show(_told(made.folder, made.backup) | {"new_bytes": made.new_bytes}, show_facts, json)


def backups(folder: Folder, json: JsonFlag = False) -> None:
    """List the finished backups in a folder, oldest first; what is none is told on stderr."""
    from service.maintenance.backup import look
    from service.maintenance.backup_file import Backup

    found = []
    for path, made in look(folder.absolute()):
        if isinstance(made, Backup):
            found.append(_told(path, made))
        else:
            say(f"tidestone: {made}")
    show({"backups": found}, _show_backups, json)


def restore(
    source: Annotated[Path, typer.Argument(help="One backup: the folder with backup.json in it.")],
    into: Annotated[Path | None, typer.Option(help="The data folder to make; the configured one.")] = None,
    json: JsonFlag = False,
) -> None:
    """Bring a backup back into an empty data folder, check every file, and publish its collections."""
    from service.commands.tending import tend
    from service.core.upkeep import Kind
    from service.maintenance.put_back import put_back

    settings = load_settings({"service.data_dir": into and into.absolute()})
    back = put_back(source.absolute(), settings.data_dir)
    published = {}
    with tend(settings) as tended:
        for name in sorted(back.generations):
            task = tended.see_through(tended.orders.place(name, Kind.REPAIR))
            published[name] = {"generation": back.generations[name], "published": task["state"] == "done"}
            if task["error"]:
                say(f"tidestone: {name}: {task['error']['message']}")
    told = {"data_dir": str(settings.data_dir), "files": back.files, "bytes": back.bytes}
    show({**told, "collections": published}, show_facts, json)
    raise typer.Exit(0 if all(each["published"] for each in published.values()) else 1)


def _told(path: Path, backup: Any) -> dict[str, Any]:
    told = {"folder": str(path), "at": backup.at, "collections": dict(backup.generations)}
    return {**told, "files": len(backup.files), "bytes": backup.bytes}


def _show_backups(page: dict[str, Any]) -> None:
    columns = ("folder", "at", "files", "size")
    rows = ([b["folder"], b["at"], b["files"], size(b["bytes"])] for b in page["backups"])
    show_table(columns, rows)
