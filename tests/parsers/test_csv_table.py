"""Tables in text: whatever parts the cells and whatever is wrong with the quotes, no row and no cell is lost."""

import csv
import io
import random
import time

import pytest

from service.parsers.csv_table import records
from service.parsers.parsed import Parsed
from tests.contracts.parser import parse

ROWS = [f"{number},Row number {number} of the file" for number in range(2, 500)]


def parsed(text: str) -> list[Parsed]:
    found = [one for one in parse("a.csv", text.encode()) if isinstance(one, Parsed)]
    assert len(found) == len(parse("a.csv", text.encode()))
    return found


def table(*lines: str) -> list[dict[str, str]]:
    return list(records("\n".join(lines) + "\n"))


def test_columns_of_the_same_name_are_told_apart() -> None:
    (record,) = table("note,note,note 2,note,,", "a,b,c,d,e,")
    assert record == {"note": "a", "note 2": "b", "note 2 2": "c", "note 3": "d", "column 5": "e"}


@pytest.mark.parametrize("opening", ['1,"An unclosed quote begins here', '1,"An unclosed quote, begins here'])
@pytest.mark.parametrize("after", ["", '\n500,"a quoted cell"', '\n500,6" pipes', '\n500,of 6",1'])
def test_a_quote_that_is_never_closed_swallows_no_row(opening: str, after: str) -> None:
    found = parsed("\n".join(["id,text", opening, *ROWS]) + after)
    numbers = range(1, 501 if after else 500)
    assert [one.record for one in found] == [str(number) for number in numbers]
    assert "An unclosed quote" in found[0].text
    assert "begins here" in found[0].text
    assert found[1].text == "Row number 2 of the file"


@pytest.mark.parametrize("close", ['of 6",x', 'of 6,x,y"', 'of 6",x,y'])
def test_a_quote_that_is_closed_rows_later_swallows_no_row(close: str) -> None:
    found = table("id,title,text", '1,"Title,words', *(f"{row},x" for row in ROWS), f"500,{close}")
    assert found[0] == {"id": "1", "title": '"Title', "text": "words"}
    assert [record["id"] for record in found] == [str(number) for number in range(1, 501)]


def test_cells_of_many_lines_are_one_cell() -> None:
    poem = "Roses, red\nviolets, blue\n\nsugar, sweet\nand so on, and on"
    assert table("id,text", f'1,"{poem}"', '2,"b"') == [{"id": "1", "text": poem}, {"id": "2", "text": "b"}]
    torn = "one line\nand one more\nand the last"
    assert table("id,text", "1,a", f'2,"{torn}')[1] == {"id": "2", "text": torn + "\n"}


def test_well_written_tables_come_back_as_they_were() -> None:
    chance = random.Random(7)
    for _ in range(300):
        mark, width = chance.choice(",;\t|"), chance.randint(2, 5)
        names = ["id", *(f"name {number}" for number in range(1, width))]
        cells = [
            ["".join(chance.choices(f'ab "\n\r{mark}', k=chance.randint(1, 9))) + "." for _ in names]
            for _ in range(chance.randint(1, 30))
        ]
        written = io.StringIO()
        csv.writer(written, delimiter=mark).writerows([names, *cells])
        assert list(records(written.getvalue())) == [dict(zip(names, row, strict=True)) for row in cells]


def test_whatever_the_quotes_every_word_is_found() -> None:
    chance = random.Random(8)
    for _ in range(500):
        words = [f"w{number}" for number in range(40)]
        lines = ["id,text,note"]
        for number in range(0, 40, 4):
            parts = [chance.choice(["", '"', '""', ","]) + word for word in words[number : number + 4]]
            lines.append(",".join(parts[:2]) + chance.choice(['"', "\n", " ", ""]) + ",".join(parts[2:]))
        said = str(table(*lines))
        assert [word for word in words if word not in said] == []


@pytest.mark.parametrize("line", ['1,"a"b,"c', '","', 'x","y', '1,"a', '1,""a', '1,"a""', '"'])
def test_no_arrangement_of_quotes_takes_more_than_its_time(line: str) -> None:
    started = time.process_time()
    table("id,text", *[line] * 20_000)
    assert time.process_time() - started < 5


def test_an_unquoted_comma_in_the_text_is_text() -> None:
    (found,) = parsed("id,text\n1,The second row has, as it says, more cells,,\n")
    assert (found.text, found.metadata) == ("The second row has, as it says, more cells", {"id": "1"})
    (found,) = parsed("text,id\nThe text of it,1,of this too\n")
    assert (found.text, found.metadata) == ("The text of it\n\ncolumn 3: of this too", {"id": "1"})


@pytest.mark.parametrize("hint", ["sep=;", '"sep=;"', "SEP=;\r"])
def test_a_hint_at_the_delimiter_is_no_header(hint: str) -> None:
    assert table(hint, "id;text, long", "1;a, b") == [{"id": "1", "text, long": "a, b"}]


@pytest.mark.parametrize(
    ("lines", "first"),
    [
        (["id;name, first;name, last", "1;Ann;Lee"], {"id": "1", "name, first": "Ann", "name, last": "Lee"}),
        (["Name;Preis", "Tau;1,20", "Boje;2,30"], {"Name": "Tau", "Preis": "1,20"}),
        (["id,text", "1,a; b, c", "2,d; e"], {"id": "1", "text": "a; b, c"}),
        (['"id","some; other; thing"', "1,x"], {"id": "1", "some; other; thing": "x"}),
        (["text", "a, b", "c, d"], {"text": "a, b"}),
    ],
)
def test_the_delimiter_is_what_parts_the_rows_alike(lines: list[str], first: dict[str, str]) -> None:
    assert table(*lines)[0] == first


def test_lines_above_the_table_are_records() -> None:
    found = table("Report of the harbour", "By the pilots,,", "", "id,text,amount", "1,Mooring fees,12")
    assert found == [
        {"column 1": "Report of the harbour"},
        {"column 1": "By the pilots"},
        {"id": "1", "text": "Mooring fees", "amount": "12"},
    ]


@pytest.mark.parametrize(
    "rows",
    [
        ["1,Harbour Street", "2,Pier Road"],
        ["Mole," + "a sentence " * 10, "Quay," + "another one " * 10],
        ["Only a line of data here,and more words of it"],
    ],
)
def test_a_table_without_names_loses_no_row(rows: list[str]) -> None:
    assert table(*rows) == [dict(zip(("column 1", "column 2"), row.split(","), strict=True)) for row in rows]


@pytest.mark.parametrize("header", ["place,2019,2020", "id,1,2", "number,name,remark"])
def test_names_are_known_from_data(header: str) -> None:
    names = header.split(",")
    assert table(header, "3,4,5", "6,7,8")[0] == dict(zip(names, "345", strict=True))


def test_only_names_are_no_record() -> None:
    assert table("id,text") == []
