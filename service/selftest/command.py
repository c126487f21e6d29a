"""`tidestone selftest`: the product tries to break itself, on data of its own."""

import signal
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from service.commands.console import say, show, show_facts
from service.commands.options import JsonFlag
from service.errors import BadRequest


def register(app: typer.Typer) -> None:
    """Add the command to the command line."""
    app.command()(selftest)


def selftest(
    crash: Annotated[
        bool, typer.Option("--crash", help="Kill and freeze processes wherever they have an effect.")
    ] = False,
    budget: Annotated[float, typer.Option(min=0, help="Seconds that it may take, at least.")] = 45.0,
    at_least: Annotated[int, typer.Option(min=0, help="Go on until so many blows are dealt.")] = 0,
    seed: Annotated[int | None, typer.Option(min=0, help="Deal the blows of an earlier run again.")] = None,
    repeat: Annotated[str, typer.Option(help="Deal one blow only, as it was printed.")] = "",
    folder: Annotated[Path | None, typer.Option(help="Work below this folder; nothing stays there.")] = None,
    json: JsonFlag = False,
) -> None:
    """Kill and freeze processes at every effect, and see that nothing is lost or doubled; exit 1 if anything is."""
    if not crash:
        raise BadRequest("selftest takes --crash, the one self-test there is.")
    from service.selftest.campaign import Terms, run

    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the folder is removed
    chosen: dict[str, Any] = {} if seed is None else {"seed": seed}
    report = run(Terms(budget, at_least, folder=folder, repeat=repeat, **chosen), say)
    show(report, _show, json)
    raise typer.Exit(1 if report["findings"] else 0)


def _show(report: dict[str, Any]) -> None:
    """The numbers, and how to see each finding again."""
    show_facts({name: value for name, value in report.items() if name != "findings" and value != []})
    for finding in report["findings"]:
        told = "; ".join(f"{fault['kind']}: {fault['what']}" for fault in finding["faults"])
        print(f"\n{told}\n  again: tidestone selftest --crash --repeat '{finding['repeat']}'")
        print("".join(f"  | {line}\n" for line in finding["log"]), end="")
