"""Excel workbooks: sheet by sheet, the filled rows as lines, with values as a reader sees them."""

import io
import re
import zipfile
from collections.abc import Iterable, Iterator
from datetime import datetime, time
from typing import Any

from openpyxl.cell.read_only import ReadOnlyCell
from openpyxl.reader.excel import ExcelReader
from openpyxl.utils import get_column_letter
from openpyxl.utils.exceptions import InvalidFileException
from openpyxl.worksheet._reader import FORMULA_TAG, WorkSheetParser

from service.errors import SkipDocument
from service.parsers import opc
from service.parsers.archive import damage_named, open_archive
from service.parsers.parsed import NO_TEXT, UNKNOWN_TYPE, Parsed, Raw

_LONGEST_GAP = 8  # empty cells in a row that are shown; a longer gap is told by the next column's letter
_LITERAL = re.compile(r'"[^"]*"|\\.')  # what a number format prints as it stands


def parse(raw: Raw) -> Iterator[Parsed]:
    with damage_named(InvalidFileException), open_archive(raw.data) as archive:
        if "xl/workbook.bin" in archive.NameToInfo:
            raise SkipDocument(UNKNOWN_TYPE, "a binary workbook")
        book = _book(raw.data)
        percents = _percents(book)
        sheets = ["\n".join(_sheet(archive, sheet, percents)) for sheet in book.worksheets]
        title, author = opc.title_and_author(archive)
    text = "\n\n".join(sheet for sheet in sheets if sheet)
    if not text:
        raise SkipDocument(NO_TEXT, "an xlsx file without text")
    yield Parsed("", title, text, {"file_type": "xlsx", "author": author}, keep_indentation=True)


def _book(data: bytes) -> Any:
    reader = ExcelReader(io.BytesIO(data), read_only=True, data_only=True, keep_links=False)
    # A broken title does not break the document.
    reader.valid_files = [name for name in reader.valid_files if not name.startswith("docProps/")]
    reader.read()
    return reader.wb


def _percents(book: Any) -> set[int]:
    """The styles that show a number as a percentage."""
    return {
        style
        for sheet in book.worksheets[:1]  # the styles are the book's
        for style in range(len(book._cell_styles))
        if "%" in _LITERAL.sub("", ReadOnlyCell(sheet, 1, 1, None, style_id=style).number_format)
    }


class _Cells(WorkSheetParser):  # type: ignore[misc]
    """Openpyxl's reader of a sheet, which keeps a value or a formula, here with both.

    Unlike its worksheets it gives only what is there: they fill a sheet up to its last row and column.
    """

    def parse_cell(self, element: Any) -> dict[str, Any]:
        cell: dict[str, Any] = super().parse_cell(element)
        if element.find(FORMULA_TAG) is not None:
            formula = self.parse_formula(element)  # even if there is a value: others may share the formula
            if cell["value"] is None:
                cell["value"] = getattr(formula, "text", formula if isinstance(formula, str) else None)
        return cell


def _sheet(archive: zipfile.ZipFile, sheet: Any, percents: set[int]) -> Iterator[str]:
    """The sheet's name and rows, nothing for an empty one. The size it claims to have is not believed."""
    notes = _notes(archive, sheet._worksheet_path)
    rows = []
    with archive.open(sheet._worksheet_path) as source:
        for cells in _rows(source, sheet):
            filled = [(cell["column"], _cell(cell, percents, notes)) for cell in cells]
            if filled := [(column, text) for column, text in filled if text]:
                rows.append((filled[0][0], _line(filled)))
    if rows or notes:
        yield f"# {sheet.title}\n"
    first = min((column for column, _ in rows), default=0)
    for column, line in rows:
        yield "".join(_gap(column - first, column)) + line
    for place, note in notes.items():  # of cells without a value
        yield f"{place}: [{note}]"


def _rows(source: Any, sheet: Any) -> Iterator[list[dict[str, Any]]]:
    book = sheet.parent
    reader = _Cells(
        source,
        sheet._shared_strings,
        data_only=True,
        epoch=book.epoch,
        date_formats=book._date_formats,
        timedelta_formats=book._timedelta_formats,
    )
    return (cells for _, cells in reader.parse())


def _line(filled: Iterable[tuple[int, str]]) -> str:
    """The cells of one row from the first that is not empty."""
    parts: list[str] = []
    last = 0
    for column, text in filled:
        if parts:
            parts += [" | ", *_gap(column - last - 1, column)]
        parts.append(text)
        last = column
    return "".join(parts)


def _gap(empty: int, column: int) -> list[str]:
    """What stands for so many empty cells before this column."""
    return [f"{get_column_letter(column)}: "] if empty > _LONGEST_GAP else [" | "] * empty


def _cell(cell: dict[str, Any], percents: set[int], notes: dict[str, str]) -> str:
    """Its value on one line and, taken out of `notes`, its note."""
    text = " ".join(_shown(cell["value"], cell["style_id"] in percents).split())
    if not notes or not text:
        return text
    note = notes.pop(f"{get_column_letter(cell['column'])}{cell['row']}", "")
    return f"{text} [{note}]" if note else text


def _shown(value: Any, percent: bool) -> str:
    if value is None:
        return ""
    if isinstance(value, datetime) and value.time() == time():
        return value.date().isoformat()
    if isinstance(value, int | float) and not isinstance(value, bool):
        return f"{_number(value * 100)}%" if percent else _number(value)
    return str(value)


def _number(value: int | float) -> str:
    """With the 15 digits that Excel shows; a binary fraction has a few wrong ones behind them."""
    if isinstance(value, int):
        return str(value)
    rounded = float(f"{value:.15g}")
    return f"{rounded:.0f}" if rounded.is_integer() and abs(rounded) < 1e21 else repr(rounded)


def _notes(archive: zipfile.ZipFile, sheet: str) -> dict[str, str]:
    """By cell, "A1" say. A thread of comments is told a second time as a note that explains itself at length."""
    found: dict[str, str] = {}
    for kind in ("comments", "threadedComment"):
        told: dict[str, list[str]] = {}
        for part in opc.parts(archive, sheet, kind):
            for note in opc.xml(archive, part).iter("{*}comment", "{*}threadedComment"):
                told.setdefault(note.get("ref", ""), []).extend("".join(note.itertext()).split())
        found |= {place: " ".join(words) for place, words in told.items() if words}
    return found
