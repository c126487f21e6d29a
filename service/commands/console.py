"""What commands print: JSON for programs, tables and lines for people."""

import json
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

_UNBOUNDED = 100_000  # characters a line


def say(text: str) -> None:
    """A line for people beside the result: on stderr."""
    print(text, file=sys.stderr)


def show(value: Any, in_words: Callable[[Any], None], as_json: bool) -> None:
    """A command's result on stdout: one JSON value, or what `in_words` prints."""
    if as_json:
        print(json.dumps(value, indent=2, ensure_ascii=False))
    else:
        in_words(value)


def show_table(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """A table on stdout; where that is no terminal, nothing is wrapped."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(*columns, box=None, pad_edge=False)
    for column in table.columns:
        column.overflow = "fold"
    for row in rows:
        table.add_row(*(Text(_cell(value)) for value in row))
    Console(width=None if sys.stdout.isatty() else _UNBOUNDED).print(table)


def show_facts(facts: Mapping[str, Any]) -> None:
    """One "name  value" line each on stdout, without those that have no value."""
    kept = {name: value for name, value in facts.items() if value not in (None, "")}
    width = max(map(len, kept), default=0)
    for name, value in kept.items():
        print(f"{name:{width}}  {_cell(value)}")


def size(count: float) -> str:
    """Bytes for people."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if count < 1024:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.1f} TiB"


def span(seconds: float) -> str:
    """A duration for people."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02} min" if hours else f"{minutes} min {rest:02} s"


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.3f}"
    return json.dumps(value, ensure_ascii=False) if isinstance(value, dict | list) else str(value)
