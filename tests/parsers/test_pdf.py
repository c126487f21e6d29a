"""Text of a PDF comes out line by line whichever way it runs; forms, empty pages and titles are told as they are."""

from collections.abc import Mapping

import pytest

from service.parsers.titles import telling
from tests.parsers.office_parts import one
from tests.parsers.pdf_pages import ACROSS, DOWN, OVERHEAD, UP, lines, pdf, stream, widget

LINES = [
    "The harbour pilot boards the",
    "ship at the outer buoy. He",
    "then steers it between the",
    "two moles.",
]


def text(data: bytes) -> str:
    return one("a.pdf", data).text.replace("\r\n", "\n")


@pytest.mark.parametrize("rotate", [0, 90, 180, 270])
@pytest.mark.parametrize("matrix", [ACROSS, UP, OVERHEAD, DOWN])
def test_lines_are_kept_apart_and_in_order_whichever_way_page_and_text_are_turned(
    matrix: str, rotate: int
) -> None:
    assert text(pdf([lines(LINES, matrix)], f"/Rotate {rotate}")).split("\n") == LINES


def test_text_in_several_directions_is_told_direction_by_direction() -> None:
    margin = ["in the margin", "of the page"]
    found = text(pdf([lines(LINES[:2]) + lines(margin, UP) + lines(LINES[2:], "1 0 0 1 40 660")]))
    assert found.split("\n") == [*LINES, "", *margin]


def test_turned_text_inside_a_form_object_is_read_too() -> None:
    inner = stream(
        lines(LINES, UP),
        "/Type /XObject /Subtype /Form /BBox [0 0 600 800] /Resources << /Font << /F1 3 0 R >> >>",
    )
    assert text(pdf(["/X Do"], more=[inner])).split("\n") == LINES


def test_slanted_text_is_level() -> None:
    assert text(pdf([lines(LINES, "1 0 0.3 1 40 700")])).split("\n") == LINES


def form(*fields: Mapping[str, str]) -> bytes:
    """A page with widgets; the first of `more` is object 4."""
    places = " ".join(f"{4 + i} 0 R" for i in range(len(fields)))
    resources = "/DR << /Font << /F1 3 0 R >> >> /DA (/F1 11 Tf)"
    catalog = f"/AcroForm << /Fields [{places}] {resources} >>"
    return pdf(
        [lines(["Name of the ship"])], f"/Annots [{places}]", catalog, [widget(each) for each in fields]
    )


def test_what_is_filled_into_a_form_follows_the_pages_text() -> None:
    ship = {"FT": "/Tx", "T": "(ship)", "V": "(Anneke)"}
    master = {"FT": "/Tx", "T": "(f2)", "TU": "(Her master)", "V": "(J. Brandt)"}
    berth = {"FT": "/Ch", "T": "(berth)", "Ff": "131072", "V": "(North)", "Opt": "[(North) (South)]"}
    assert text(form(ship, master, berth)).split("\n") == [
        *("Name of the ship", "", "ship: Anneke", "Her master: J. Brandt", "berth: North")
    ]


def test_a_box_counts_where_it_is_checked() -> None:
    ticked = {
        "FT": "/Btn",
        "T": "(pilot)",
        "V": "/Yes",
        "AS": "/Yes",
        "AP": "<< /N << /Yes 3 0 R /Off 3 0 R >> >>",
    }
    empty = ticked | {"T": "(tug)", "V": "/Off", "AS": "/Off"}
    assert text(form(ticked, empty)).split("\n") == ["Name of the ship", "", "pilot: Yes"]


def test_fields_that_are_empty_hidden_or_secret_say_nothing() -> None:
    field = {"FT": "/Tx", "V": "(nothing)"}
    told = form({"FT": "/Tx", "T": "(a)"}, field | {"T": "(b)", "F": "2"}, field | {"T": "(c)", "Ff": "8192"})
    assert text(told) == "Name of the ship"


def test_pages_without_text_are_counted() -> None:
    found = one("a.pdf", pdf([lines(["a cover page"]), "", "0 0 9 9 re f"]))
    assert (found.metadata["pages"], found.metadata["pages_without_text"]) == ("3", "2")


@pytest.mark.parametrize(
    "title",
    [
        *(
            "untitled",
            "(Untitled)",
            "Unbenannt 1",
            "Document1",
            "Dokument 2",
            "Microsoft Word - Dokument1.doc",
        ),
        *("PowerPoint Presentation", "PowerPoint-Präsentation", "report_final.docx", "thesis.dvi", " "),
    ],
)
def test_a_title_that_a_program_made_is_none(title: str) -> None:
    assert telling(title).strip() == ""


@pytest.mark.parametrize(
    "title", ["Untitled works of a painter", "The document", "Title deeds", "Word", "Node.js"]
)
def test_other_titles_are_kept(title: str) -> None:
    assert telling(title) == title


def test_a_pdfs_title_made_by_a_program_gives_way_to_its_name() -> None:
    assert one("a.pdf", pdf([lines(LINES)], title="Microsoft Word - Dokument1.doc")).title == ""
    assert one("a.pdf", pdf([lines(LINES)], title="Pilotage")).title == "Pilotage"
