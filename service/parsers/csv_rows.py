"""The rows of a table in text, whatever parts its cells, none of them swallowed by a stray quote."""

import csv
import io
import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from typing import Literal

_LARGEST_FIELD = 2**31 - 1
_DELIMITERS = "\t|;,"  # the rarer in words goes first where two fit equally
_HINT = re.compile(r"\ufeff?\"?sep=([^\w\0\r\n\"])\"?(?:\r\n|\r|\n)", re.I)
_SAMPLE_CHARACTERS = 1 << 16
_SAMPLE_LINES = 20
_REREADS = 4  # times the text's length; beyond that, stray quotes have their way


@dataclass(frozen=True, slots=True)
class Layout:
    """How a table is written."""

    delimiter: str
    width: int  # cells of its first row that has more than one; 1 when none has
    start: int  # characters above the rows: a line such as "sep=;" is no row


def layout(text: str) -> Layout:
    """The delimiter that parts most rows as it parts the first of them."""
    hint = _HINT.match(text)
    start = hint.end() if hint else 0
    sample = io.StringIO(text[start : start + _SAMPLE_CHARACTERS], newline="")
    lines = list(islice(sample, _SAMPLE_LINES))
    widths = {mark: _widths(lines, mark) for mark in (hint[1] if hint else _DELIMITERS)}
    best = max(widths, key=lambda mark: _consistency(widths[mark]))
    width = _width(widths[best])
    return Layout(best if hint or width > 1 else ",", width, start)


def rows(text: str, layout: Layout) -> Iterator[list[str]]:
    """Every row in turn. Where a quote that is never closed, or closed rows later, would swallow rows, its
    row is the line it begins on, and the lines below are read for themselves.
    """
    csv.field_size_limit(_LARGEST_FIELD)
    reader = _Reader(text, layout)
    while (row := reader.row()) is not None:
        yield row


class _Reader:
    def __init__(self, text: str, layout: Layout) -> None:
        self._file = io.StringIO(text, newline="")
        self._file.seek(layout.start)
        self._layout = layout
        self._strict = csv.reader(self._file, delimiter=layout.delimiter, strict=True)
        self._rereads = _REREADS * len(text)

    def row(self) -> list[str] | None:
        start, before = self._file.tell(), self._strict.line_num
        row = None
        with suppress(csv.Error):
            row = next(self._strict, None)
        lines = self._strict.line_num - before
        closed = row is not None
        if lines and row is None:
            row, lines = self._loosely(start, lines)
        if row and lines > 1 and self._has_swallowed(row, start, lines - closed, closed):
            return self._first_line(start)
        return row

    def _loosely(self, start: int, lines: int) -> tuple[list[str], int]:
        """The row that begins at `start`, with its number of lines, as csv reads it when nothing is an error."""
        self._go_back(start)
        most = max(lines, _SAMPLE_LINES) if self._rereads > 0 else None
        reader = csv.reader(islice(self._file, most), delimiter=self._layout.delimiter)
        return next(reader), reader.line_num

    def _has_swallowed(self, row: list[str], start: int, lines: int, closed: bool) -> bool:
        """Whether the lines below the first look like rows. A row that fits the table must be sure to be wrong."""
        end, width = self._file.tell(), self._layout.width
        if self._rereads <= 0:
            return False
        self._file.seek(start)
        below = [_row(line, self._layout) for line in islice(self._file, 1, min(lines, _SAMPLE_LINES))]
        self._file.seek(end)
        below = [other for other in below if any(other)]
        if closed and len(row) == width:
            alike = [len(other) == width and _shape(other[0]) == _shape(row[0]) for other in below]
            return len(alike) > 1 and all(alike) and "0" in _shape(row[0])
        wide = sum(len(other) >= width for other in below)
        return wide > 0 and wide >= len(below) / 2

    def _first_line(self, start: int) -> list[str]:
        """With its quotes taken for quotes or for characters: what fits the table better."""
        self._go_back(start)
        line = self._file.readline()
        readings = [_row(line, self._layout, quoting) for quoting in (csv.QUOTE_MINIMAL, csv.QUOTE_NONE)]
        return min(readings, key=lambda row: abs(len(row) - self._layout.width))

    def _go_back(self, start: int) -> None:
        """What is read again may begin within the last row: without a bound, this would be quadratic."""
        self._rereads -= self._file.tell() - start
        self._file.seek(start)


def _row(line: str, layout: Layout, quoting: Literal[0, 3] = csv.QUOTE_MINIMAL) -> list[str]:
    return next(csv.reader([line], delimiter=layout.delimiter, quoting=quoting))


def _shape(cell: str) -> str:
    return re.sub(r"\d+", "0", cell.strip())


def _widths(lines: Sequence[str], delimiter: str) -> list[int]:
    return [len(row) for row in csv.reader(lines, delimiter=delimiter) if any(row)]


def _width(widths: Sequence[int]) -> int:
    return next((width for width in widths if width > 1), 1)


def _consistency(widths: Sequence[int]) -> tuple[float, float, int]:
    width = _width(widths)
    rows = len(widths) or 1  # the wrong delimiter finds more of them, since it overlooks the quotes
    enough = sum(found >= width > 1 for found in widths)
    return enough / rows, widths.count(width) / rows, width
