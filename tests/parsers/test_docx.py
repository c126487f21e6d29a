"""All the text that a reader of a Word document sees comes out of it, once."""

import pytest

from tests.parsers import makers
from tests.parsers.office_parts import broken_properties, one, p, r, related, retyped, tc, word_xml

BOX = f"<w:txbxContent>{p('boxed')}</w:txbxContent>"
HALF = "<m:f><m:num><m:r><m:t>1</m:t></m:r></m:num><m:den><m:r><m:t>2</m:t></m:r></m:den></m:f>"


def text(body: str, **beside: str) -> str:
    return one("a.docx", word_xml(body, beside)).text


@pytest.mark.parametrize(
    "wrapped",
    [
        "<w:ins>{}</w:ins>",
        "<w:moveTo>{}</w:moveTo>",
        "<w:sdt><w:sdtPr/><w:sdtContent>{}</w:sdtContent></w:sdt>",
        "<w:fldSimple>{}</w:fldSimple>",
        "<w:smartTag>{}</w:smartTag>",
        "<w:hyperlink><w:ins>{}</w:ins></w:hyperlink>",
        "<w:customXml>{}</w:customXml>",
    ],
)
def test_text_is_found_whatever_wraps_it(wrapped: str) -> None:
    assert text(f"<w:p>{r('seen ')}{wrapped.format(r('inside'))}{r(' after')}</w:p>") == "seen inside after"
    assert text(wrapped.format(p("inside")) + p("after")) == "inside\n\nafter"


def test_deleted_and_moved_away_text_is_not_seen() -> None:
    gone = f"<w:del><w:r><w:delText>gone</w:delText></w:r></w:del><w:moveFrom>{r('away')}</w:moveFrom>"
    assert text(f"<w:p>{r('kept')}{gone}</w:p>") == "kept"


def test_tabs_breaks_and_hyphens_are_kept_and_tab_stops_are_none() -> None:
    stops = "<w:pPr><w:tabs><w:tab w:pos='9'/></w:tabs></w:pPr>"
    run = "<w:r><w:t>a</w:t><w:tab/><w:t>b</w:t><w:br/><w:t>c</w:t><w:noBreakHyphen/><w:t>d</w:t></w:r>"
    assert text(f"<w:p>{stops}{run}</w:p>") == "a\tb\nc-d"


def test_a_text_box_told_in_two_ways_comes_once_after_its_paragraph() -> None:
    both = f"<mc:AlternateContent><mc:Choice>{BOX}</mc:Choice><mc:Fallback>{BOX}</mc:Fallback></mc:AlternateContent>"
    assert text(f"<w:p>{r('before ')}<w:r>{both}</w:r>{r('after')}</w:p>") == "before after\n\nboxed"


def test_a_text_box_told_only_in_the_old_way_is_seen() -> None:
    old = f"<mc:AlternateContent><mc:Choice/><mc:Fallback>{BOX}</mc:Fallback></mc:AlternateContent>"
    assert text(f"<w:p><w:r>{old}</w:r></w:p>") == "boxed"


def test_a_fraction_is_no_number() -> None:
    assert text(f"<w:p>{r('so ')}<m:oMath><m:r><m:t>x=</m:t></m:r>{HALF}</m:oMath></w:p>") == "so x=1/2"


def test_notes_headers_and_footers_come_once_at_the_end() -> None:
    found = text(
        p("body"),
        header1="letter head",
        header2="letter head",
        footer1="the foot",
        footnotes="a note",
        endnotes="last note",
    )
    assert found.split("\n\n") == ["body", "a note", "last note", "letter head", "the foot"]


def test_headings_are_known_by_the_styles_name_inside_a_content_control_too() -> None:
    heading = f"<w:p><w:pPr><w:pStyle w:val='Heading2'/></w:pPr>{r('Moorings')}</w:p>"
    assert text(f"<w:sdt><w:sdtContent>{heading}</w:sdtContent></w:sdt>") == "## Moorings"


def test_a_nested_table_follows_the_row_it_is_in() -> None:
    inner = f"<w:tbl><w:tr>{tc(p('c'))}{tc(p('d'))}</w:tr></w:tbl>"
    rows = (
        f"<w:tr>{tc(p('a'))}{tc(p('b') + inner)}</w:tr><w:ins><w:tr>{tc(p('e'))}{tc(p('f'))}</w:tr></w:ins>"
    )
    assert text(f"<w:tbl>{rows}</w:tbl>") == "a | b\n\nc | d\n\ne | f"


def test_a_table_of_one_cell_is_a_frame() -> None:
    assert text(f"<w:tbl><w:tr>{tc(p('one') + p('two'))}</w:tr></w:tbl>") == "one\n\ntwo"


@pytest.mark.parametrize(("told", "again"), [("fee", "fee"), ("long text " * 30, "")])
def test_merged_cells_are_told_once_in_a_row_and_labels_again_in_each_row_they_cover(
    told: str, again: str
) -> None:
    span, start = "<w:gridSpan w:val='2'/>", "<w:vMerge w:val='restart'/>"
    wide = f"<w:tr>{tc(p('wide'), span)}{tc(p(told), start)}</w:tr>"
    next_row = f"<w:tr>{tc(p('a'))}{tc(p('b'))}{tc('<w:p/>', '<w:vMerge/>')}</w:tr>"
    assert text(f"<w:tbl>{wide}{next_row}</w:tbl>") == f"wide | {told.strip()}\na | b | {again}"


@pytest.mark.parametrize(
    ("name", "becomes"),
    [
        ("a.docm", b"application/vnd.ms-word.document.macroEnabled.main+xml"),
        ("a.dotx", b"application/vnd.openxmlformats-officedocument.wordprocessingml.template.main+xml"),
    ],
)
def test_templates_and_documents_with_macros_are_documents(name: str, becomes: bytes) -> None:
    was = b"application/vnd.openxmlformats-officedocument.wordprocessingml.document.main+xml"
    assert "the words" in one(name, retyped(makers.word(["the words"]), was, becomes)).text


def test_broken_properties_leave_a_document_without_a_title() -> None:
    found = one("a.docx", broken_properties(makers.word(["the words"], title="Lost")))
    assert (found.title, found.metadata["author"]) == ("", "")
    assert found.text.endswith("the words")


def test_what_stands_in_a_diagram_comes_at_the_end() -> None:
    drawn = "<d:dataModel xmlns:d='d' xmlns:a='a'><d:pt><a:p><a:r><a:t>Pilot</a:t></a:r></a:p></d:pt></d:dataModel>"
    data = related(word_xml(p("body")), "word/document.xml", "diagramData", drawn)
    assert one("a.docx", data).text == "body\n\nPilot"


def test_a_title_that_a_program_made_is_none() -> None:
    assert one("a.docx", makers.word(["the words"], title="Microsoft Word - Dokument1.doc")).title == ""


@pytest.mark.parametrize(
    "level",
    [
        "<w:sdt>{}</w:sdt>",
        "<w:p><w:txbxContent>{}</w:txbxContent></w:p>",
        "<w:tbl><w:tr><w:tc>{}</w:tc></w:tr></w:tbl>",
        "<w:tbl><w:tr><w:tc>{}</w:tc><w:tc/></w:tr></w:tbl>",
        "<mc:AlternateContent><mc:Choice>{}</mc:Choice></mc:AlternateContent>",
        "<w:p><w:r><mc:AlternateContent><mc:Choice>{}</mc:Choice></mc:AlternateContent></w:r></w:p>",
    ],
)
def test_however_deep_is_not_too_deep(level: str) -> None:
    body = p("deep")
    for _ in range(240 // level.count("</")):
        body = level.format(body)
    assert text(body).strip(" |\n") == "deep"
