"""Of a slide come all words a viewer sees: in groups, tables, charts and diagrams too; then the notes."""

import io
from typing import Any

import pptx
import pytest
from pptx.chart.data import CategoryChartData
from pptx.enum.chart import XL_CHART_TYPE
from pptx.oxml import parse_xml
from pptx.util import Inches

from service.errors import SkipDocument
from tests.contracts.parser import parse
from tests.parsers import makers
from tests.parsers.office_parts import OFFICE, broken_properties, one, related, retyped

SPACES = f"""xmlns:p="http://schemas.openxmlformats.org/presentationml/2006/main"
 xmlns:a="http://schemas.openxmlformats.org/drawingml/2006/main" xmlns:r="{OFFICE}/relationships"
 xmlns:mc="http://schemas.openxmlformats.org/markup-compatibility/2006" """
BOX = (0, 0, Inches(2), Inches(1))


class Deck:
    """One slide, and what is put on it."""

    def __init__(self, layout: int = 6) -> None:
        self.deck = pptx.Presentation()
        self.slide: Any = self.deck.slides.add_slide(self.deck.slide_layouts[layout])

    def add(self, xml: str) -> None:
        self.slide.shapes._spTree.append(parse_xml(xml))

    def data(self) -> bytes:
        target = io.BytesIO()
        self.deck.save(target)
        return target.getvalue()

    def text(self) -> str:
        return one("a.pptx", self.data()).text


def shape(words: str, place: str = "") -> str:
    body = f"<p:txBody><a:bodyPr/><a:p><a:r><a:t>{words}</a:t></a:r></a:p></p:txBody>"
    names = f'<p:nvSpPr><p:cNvPr id="9" name="n"/><p:cNvSpPr/><p:nvPr>{place}</p:nvPr></p:nvSpPr>'
    return f"<p:sp {SPACES}>{names}<p:spPr/>{body}</p:sp>"


def test_a_chart_tells_its_titles_series_and_categories() -> None:
    deck = Deck()
    told = CategoryChartData()
    told.categories = ["January", "February"]
    told.add_series("Tugs", (1, 2))
    told.add_series("Pilots", (3, 4))
    chart = deck.slide.shapes.add_chart(XL_CHART_TYPE.BAR_CLUSTERED, *BOX, told).chart
    chart.has_title = chart.category_axis.has_title = True
    chart.chart_title.text_frame.text = "Trips"
    chart.category_axis.axis_title.text_frame.text = "Month"
    assert deck.text().split("\n") == ["Trips", "Month", "Tugs | Pilots", "January | February"]


def test_groups_in_groups_and_tables_are_read() -> None:
    deck = Deck()
    group = deck.slide.shapes.add_group_shape()
    group.shapes.add_textbox(*BOX).text_frame.text = "outer"
    group.shapes.add_group_shape().shapes.add_textbox(*BOX).text_frame.text = "inner"
    table = deck.slide.shapes.add_table(2, 2, *BOX).table
    for i, words in enumerate(("Class", "Fee", "Coaster", "12\nmarks")):
        table.cell(i // 2, i % 2).text = words
    assert deck.text().split("\n") == ["outer", "inner", "Class | Fee", "Coaster | 12 marks"]


def test_the_title_comes_first_and_the_notes_last() -> None:
    deck = Deck(layout=5)
    deck.slide.shapes.title.text = "Tides\nof March"
    deck.slide.shapes._spTree.insert(2, parse_xml(shape("drawn before it")))
    deck.slide.notes_slide.notes_text_frame.text = "Speak slowly."
    assert deck.text().split("\n") == ["# Tides of March", "", "drawn before it", "Speak slowly."]


def test_a_slides_number_is_none_of_its_words() -> None:
    deck = Deck()
    deck.add(shape("7", '<p:ph type="sldNum"/>'))
    deck.add(shape("words"))
    assert deck.text() == "words"


def test_of_alternatives_one_is_told() -> None:
    deck = Deck()
    both = f'<mc:Choice Requires="r">{shape("new")}</mc:Choice><mc:Fallback>{shape("old")}</mc:Fallback>'
    deck.add(f"<mc:AlternateContent {SPACES}>{both}</mc:AlternateContent>")
    assert deck.text() == "new"


def test_a_diagram_tells_what_stands_in_its_boxes() -> None:
    deck = Deck()
    dgm = "http://schemas.openxmlformats.org/drawingml/2006/diagram"
    frame = f'<a:graphicData uri="{dgm}"><d:relIds xmlns:d="{dgm}" r:dm="more"/></a:graphicData>'
    deck.add(f"<p:graphicFrame {SPACES}><a:graphic>{frame}</a:graphic></p:graphicFrame>")
    boxes = "".join(
        f"<d:pt><d:t><a:p><a:r><a:t>{each}</a:t></a:r></a:p></d:t></d:pt>" for each in ("Pilot", "Tug")
    )
    drawn = f'<d:dataModel xmlns:d="{dgm}" {SPACES}>{boxes}</d:dataModel>'
    data = related(deck.data(), "ppt/slides/slide1.xml", "diagramData", drawn)
    assert one("a.pptx", data).text == "Pilot\nTug"


@pytest.mark.parametrize("becomes", [b"slideshow.main+xml", b"template.main+xml"])
def test_shows_and_templates_are_presentations(becomes: bytes) -> None:
    data = retyped(makers.slides(["Tides"]), b"presentation.main+xml", becomes)
    assert one("a.ppsx", data).text.startswith("# Tides")


def test_broken_properties_leave_a_presentation_without_a_title() -> None:
    assert one("a.pptx", broken_properties(makers.slides(["Tides"]))).text.startswith("# Tides")


def test_a_presentation_without_words_has_no_text() -> None:
    for deck in (Deck().deck, pptx.Presentation()):
        target = io.BytesIO()
        deck.save(target)
        with pytest.raises(SkipDocument) as outcome:
            parse("a.pptx", target.getvalue())
        assert outcome.value.reason == "no_text"
