"""What the benchmarks share: arguments, tables, verdicts, memory."""

import argparse
import statistics
from collections.abc import Iterable, Sequence
from pathlib import Path


def arguments(description: str | None, **defaults: int | str) -> argparse.Namespace:
    """Options named after `defaults` (`rounds=3` is `--rounds`), and `quick`: a short form of everything."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--quick", action="store_true", help="a short form that proves little")
    for name, value in defaults.items():
        parser.add_argument(f"--{name.replace('_', '-')}", type=type(value), default=value)
    return parser.parse_args()


def show(columns: Sequence[str], rows: Iterable[Sequence[str | float]]) -> None:
    """A table; numbers from 100 on are whole."""
    lines = [list(columns), *([_cell(value) for value in row] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        print("  ".join(cell.rjust(width) for cell, width in zip(line, widths, strict=True)))


def verdict(what: str, value: float, target: float, at_least: bool = False) -> None:
    """One line that says whether a target was met."""
    met = value >= target if at_least else value <= target
    bound = "at least" if at_least else "at most"
    print(f"{what}: {value:.3g} (target {bound} {target:g}): {'met' if met else 'MISSED'}", flush=True)


def median_ratio(over: Iterable[float], under: Iterable[float]) -> float:
    """The median of the quotients of what was measured side by side."""
    return statistics.median(a / b for a, b in zip(over, under, strict=True))


def pss_bytes(pid: int) -> int:
    """A process's share of memory: what it shares is divided among those that share it. 0 when it is gone."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:")), 0)


def _cell(value: str | float) -> str:
    if isinstance(value, str):
        return value
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
