"""A workbook comes out as its reader sees it, and no sheet is wider than what is written in it."""

import io
from collections.abc import Mapping
from datetime import datetime, time

import openpyxl
import pytest
from openpyxl.comments import Comment
from openpyxl.worksheet.formula import ArrayFormula, DataTableFormula

from service.errors import SkipDocument
from tests.contracts.parser import parse
from tests.parsers import makers
from tests.parsers.office_parts import broken_properties, members, one, related, retyped

MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"


def book(
    cells: Mapping[str, object],
    formats: Mapping[str, str] | None = None,
    notes: Mapping[str, str] | None = None,
) -> bytes:
    made = openpyxl.Workbook()
    sheet = made.active
    for place, value in cells.items():
        sheet[place] = value
    for place, number_format in (formats or {}).items():
        sheet[place].number_format = number_format
    for place, note in (notes or {}).items():
        sheet[place].comment = Comment(note, "somebody")
    target = io.BytesIO()
    made.save(target)
    return target.getvalue()


def lines(data: bytes) -> list[str]:
    name, *rest = one("a.xlsx", data).text.split("\n")
    assert name == "# Sheet"
    return rest[1:]


def raw_rows(rows: str) -> bytes:
    sheet = f'<worksheet xmlns="{MAIN}"><sheetData>{rows}</sheetData></worksheet>'
    return makers.zipped(members(book({"A1": 1})) | {"xl/worksheets/sheet1.xml": sheet})


def test_a_formula_is_shown_where_nothing_has_computed_it() -> None:
    assert lines(book({"A1": 2, "B1": "=A1*2"})) == ["2 | =A1*2"]
    assert lines(book({"A1": ArrayFormula("A1:A2", "=SUM(B1:C1)")})) == ["=SUM(B1:C1)"]


def test_a_computed_formula_shows_its_value_and_one_that_shares_it_its_own_text() -> None:
    row = '<row r="{0}"><c r="A{0}"><f t="shared" si="0"{1}{2}</c></row>'
    both = row.format(1, ' ref="A1:A2">B1+1</f>', "<v>7</v>") + row.format(2, "/>", "")
    assert lines(raw_rows(both)) == ["7", "=B2+1"]


def test_a_table_of_what_ifs_has_no_text_of_its_own() -> None:
    table = DataTableFormula(ref="A2", dt2D=False, r1="B1")
    assert lines(book({"A1": "rate", "A2": table})) == ["rate"]


def test_a_far_cell_costs_no_bars_and_says_its_column() -> None:
    assert lines(book({"A1": "near", "C1": "third", "XFD1": "far"})) == ["near |  | third | XFD: far"]
    assert lines(book({"A1": "near", "XFD1048576": "far"})) == ["near", "XFD: far"]


def test_columns_that_no_row_fills_at_the_left_are_left_out() -> None:
    cells = {"C3": "Item", "D3": "Fee", "D4": 12}
    assert lines(book(cells)) == ["Item | Fee", " | 12"]


@pytest.mark.parametrize(
    ("value", "number_format", "shown"),
    [
        (6.600000000000001, "General", "6.6"),
        (0.1 + 0.2, "0.00 €", "0.3"),
        (1e15, "General", "1000000000000000"),
        (12345678901234567, "0", "12345678901234600"),
        (datetime(2024, 3, 1), "yyyy-mm-dd", "2024-03-01"),
        (datetime(2024, 3, 1, 8, 30), "yyyy-mm-dd hh:mm", "2024-03-01 08:30:00"),
        (time(8, 30), "hh:mm", "08:30:00"),
        (0.15, "0%", "15%"),
        (0.07, "0.0%", "7%"),
        (2, "0 %", "200%"),
        (0.15, '0.00" of 100%"', "0.15"),
        (True, "0%", "True"),
    ],
)
def test_values_are_shown_as_a_reader_sees_them(value: object, number_format: str, shown: str) -> None:
    assert lines(book({"A1": value}, {"A1": number_format})) == [shown]


def test_notes_stand_at_their_cells_even_at_empty_ones() -> None:
    notes = {"A1": "before\ntax", "D9": "to be filled"}
    assert lines(book({"A1": "Fee", "B1": 3}, notes=notes)) == ["Fee [before tax] | 3", "D9: [to be filled]"]


def test_a_thread_of_comments_stands_for_the_note_that_explains_it() -> None:
    data = book({"A1": "Fee"}, notes={"A1": "[Threaded comment] Your version of Excel allows"})
    comment = '<threadedComment ref="A1"><text>{}</text></threadedComment>'
    told = f"<ThreadedComments>{comment.format('why?')}{comment.format('because')}</ThreadedComments>"
    found = related(data, "xl/worksheets/sheet1.xml", "threadedComment", told)
    assert lines(found) == ["Fee [why? because]"]


def test_a_binary_workbook_is_of_unknown_type() -> None:
    found = members(book({"A1": "words"}))
    found["xl/workbook.bin"] = found.pop("xl/workbook.xml")
    with pytest.raises(SkipDocument) as outcome:
        parse("a.xlsb", makers.zipped(found))
    assert outcome.value.reason == "unknown_type"


def test_broken_properties_leave_a_workbook_without_a_title() -> None:
    assert lines(broken_properties(book({"A1": "words"}))) == ["words"]


@pytest.mark.parametrize("becomes", [b"application/vnd.ms-excel.sheet.macroEnabled.main+xml"])
def test_a_workbook_with_macros_is_a_workbook(becomes: bytes) -> None:
    was = b"application/vnd.openxmlformats-officedocument.spreadsheetml.sheet.main+xml"
    assert lines(retyped(book({"A1": "words"}), was, becomes)) == ["words"]
