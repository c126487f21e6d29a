"""What each format gives beyond its words."""

import io
import zipfile
from pathlib import Path

import pytest

from service.errors import DocumentFailed, SkipDocument
from service.parsers import archive, prepare
from service.parsers.parsed import BadRecord, Parsed
from tests.contracts.parser import parse
from tests.parsers import makers
from tests.parsers.counters import WordPieces

LIMITS = prepare.Limits(256, 32, 10_000_000)


def one(name: str, data: bytes) -> Parsed:
    (found,) = parse(name, data)
    assert isinstance(found, Parsed)
    return found


def reason(name: str, data: bytes) -> str:
    with pytest.raises((SkipDocument, DocumentFailed)) as outcome:
        parse(name, data)
    return str(outcome.value.reason)


@pytest.mark.parametrize(
    ("name", "text", "title"),
    [
        ("a.md", "intro\n\n# The *title* #\n\nwords", "The *title*"),
        ("a.rst", "=====\nTitle\n=====\n\nwords", "Title"),
        ("a.rst", "Title\n-----\n\nwords", "Title"),
        ("a.py", "# not a title\nx = 1\n", ""),
    ],
)
def test_markup_gives_the_title(name: str, text: str, title: str) -> None:
    assert one(name, text.encode()).title == title


def test_code_keeps_its_indentation_and_prose_does_not_need_it() -> None:
    assert one("a.py", b"def f():\n    pass\n").keep_indentation
    assert not one("a.txt", b"  words in a column\n").keep_indentation


def test_html_gives_its_main_text_without_scripts_and_navigation() -> None:
    page = """<html><head><title>The page</title><meta name="author" content="A. Author"><script>var x</script></head>
    <body><nav><a href="/">Home</a></nav><article><h1>The page</h1><p>The tide gauge at the mole was read at dawn
    by the keeper, who wrote the figure down.</p><p>At dusk it was read again, and the two figures were compared with
    the almanac.</p></article><footer>Imprint</footer></body></html>"""
    found = one("a.html", page.encode())
    assert (found.title, found.metadata["author"]) == ("The page", "A. Author")
    assert "keeper" in found.text
    assert "almanac" in found.text
    assert "var x" not in found.text
    assert "Home" not in found.text


def test_html_without_a_main_text_gives_all_visible_text() -> None:
    page = b"<body><script>x</script><form><button>Send it</button></form></body>"
    text = one("a.html", page).text
    assert text.split() == ["Send", "it"]


def test_html_refers_to_nothing_outside() -> None:
    entity = b'<!DOCTYPE html [<!ENTITY x SYSTEM "file:///etc/passwd">]>'
    found = one("a.html", entity + b"<html><body><p>before &x; after the entity</p></body></html>")
    assert "root:" not in found.text


def test_json_without_a_text_field_becomes_readable_lines() -> None:
    text = one("a.json", b'{"quay": "Stone", "berths": [{"n": 1, "free": true}, 2], "note": null}').text
    assert text == "quay: Stone\nberths:\n  -\n    n: 1\n    free: true\n  - 2\nnote: "


def test_fields_beside_the_text_are_metadata() -> None:
    found = one("a.json", b'{"title": "T", "text": "words", "year": 1911, "by": "me", "no": null}')
    assert (found.title, found.text, found.metadata) == ("T", "words", {"year": "1911", "by": "me"})


def test_one_bad_line_of_jsonl_fails_alone() -> None:
    found = parse("a.jsonl", b'{"id": 1, "text": "one"}\n\n{"id": 2, "te\n{"text": "three"}\n')
    first, bad, last = found
    assert isinstance(bad, BadRecord)
    assert (bad.record, bad.outcome, bad.reason) == ("line-3", "failed", "damaged")
    assert (first.record, len(last.record)) == ("1", 16)


def test_records_are_named_by_id_else_by_content_and_never_twice_the_same() -> None:
    lines = b'{"id": "x", "text": "one"}\n{"id": "x", "text": "two"}\n{"id": "x", "text": "two"}\n{"text": "one"}\n'
    found = parse("a.jsonl", lines + lines)
    good = [parsed.record for parsed in found if isinstance(parsed, Parsed)]
    assert good[0] == "x"
    assert good[1].startswith("x~")
    assert len(good) == len(set(good)) == 3
    assert {bad.reason for bad in found if isinstance(bad, BadRecord)} == {"duplicate"}


@pytest.mark.parametrize("mark", [",", ";", "\t", "|"])
def test_csv_rows_are_documents_whatever_parts_their_cells(mark: str) -> None:
    rows = [["id", "Schiff", "Länge"], ["s1", "Möwe", '"12,40"'], ["s2", "Anneke", "8"]]
    first, second = parse("a.csv", "\r\n".join(mark.join(row) for row in rows).encode("utf-8-sig"))
    assert (first.record, second.record) == ("s1", "s2")
    assert isinstance(first, Parsed)
    assert first.text == "id: s1\nSchiff: Möwe\nLänge: 12,40"


def test_ragged_csv_rows_lose_nothing() -> None:
    short, long = parse("a.csv", b'id,event\ng1\ng2,"at noon\n\nexactly",more,"and ""more"""\n')
    assert isinstance(short, Parsed)
    assert isinstance(long, Parsed)
    assert short.text == "id: g1\nevent: "
    assert long.text == 'id: g2\nevent: at noon\n\nexactly\ncolumn 3: more\ncolumn 4: and "more"'


def test_pdf_pages_come_in_order_with_title_and_count() -> None:
    found = one("a.pdf", makers.pdf([["page one"], ["page two"], ["page three"]], title="Three pages"))
    assert found.text.split("\n\n") == ["page one", "page two", "page three"]
    assert (found.title, found.metadata["pages"]) == ("Three pages", "3")


def test_text_over_the_edge_of_a_page_is_not_lost() -> None:
    line = "these words run far over the right edge of their page and on " * 4 + "to the end"
    assert one("a.pdf", makers.pdf([[line]])).text.endswith("to the end")


def test_a_pdf_without_text_has_no_text() -> None:
    assert reason("a.pdf", makers.pdf([[], []])) == "no_text"


def test_a_word_document_gives_headings_tables_and_author() -> None:
    found = one("a.docx", makers.word(["A paragraph."], [["Week", "Task"], ["1", "Tides"]], title="Handbook"))
    assert found.text == "# First heading\n\nA paragraph.\n\nWeek | Task\n1 | Tides"
    assert (found.title, found.metadata["author"]) == ("Handbook", "A. Author")


def test_slides_give_titles_text_and_notes() -> None:
    found = one("a.pptx", makers.slides(["Tides", "Lights"], notes="Speak slowly."))
    assert found.text.split("\n\n")[0] == "# Tides"
    assert found.text.count("Speak slowly.") == 2
    assert found.metadata["pages"] == "2"


def test_sheets_give_names_and_filled_rows() -> None:
    found = one(
        "a.xlsx", makers.sheets({"Dues": [["Class", "Fee"], [None, None], ["Coaster", 0.38]], "Empty": []})
    )
    assert found.text == "# Dues\n\nClass | Fee\nCoaster | 0.38"


@pytest.mark.parametrize(
    ("name", "data"),
    [("a.xlsx", makers.sheets({"Empty": []})), ("a.epub", makers.book(["<img src='scan.png'/>"]))],
)
def test_an_office_file_or_book_without_text_has_no_text(name: str, data: bytes) -> None:
    assert reason(name, data) == "no_text"


def test_a_books_chapters_come_in_the_order_of_its_spine() -> None:
    found = one("a.epub", makers.book(["<p>last</p>", "<h1>middle</h1>", "<p>first<br/>line</p>"], title="T"))
    assert found.text.split() == ["first", "line", "middle", "last"]
    assert (found.title, found.metadata["author"]) == ("T", "A. Author")


def test_a_copy_protected_book_is_encrypted() -> None:
    locked = '<encryption><CipherReference URI="OEBPS/text/c0.xhtml"/></encryption>'
    assert (
        reason("a.epub", makers.book(["<p>x</p>"], more={"META-INF/encryption.xml": locked})) == "encrypted"
    )


ENTITY = '<?xml version="1.0"?><!DOCTYPE x [<!ENTITY x SYSTEM "file:///etc/passwd">]>'


@pytest.mark.parametrize(
    ("name", "member", "data"),
    [
        ("a.epub", "OEBPS/book.opf", makers.book(["<p>words</p>"], title="ENTITY")),
        ("a.docx", "word/document.xml", makers.word(["ENTITY"])),
        ("a.pptx", "ppt/slides/slide1.xml", makers.slides(["ENTITY"])),
        ("a.xlsx", "xl/worksheets/sheet1.xml", makers.sheets({"s": [["ENTITY"]]})),
    ],
)
def test_an_entity_opens_no_file(name: str, member: str, data: bytes) -> None:
    with zipfile.ZipFile(io.BytesIO(data)) as whole:
        members: dict[str, bytes | str] = {each: whole.read(each) for each in whole.namelist()}
    content = members[member].decode()
    assert "ENTITY" in content
    members[member] = ENTITY + content.rpartition("?>")[2].replace("ENTITY", "&x;")
    try:
        told = str(parse(name, makers.zipped(members)))
    except (SkipDocument, DocumentFailed) as outcome:
        told = str(outcome)
    assert "root:" not in told


def test_an_archive_that_would_expand_beyond_bounds_is_not_expanded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive, "MOST_EXPANDED_BYTES", 100_000)
    bomb = makers.book(["<p>words</p>"], more={"OEBPS/bomb.txt": b"\0" * 1_000_000})
    assert len(bomb) < 10_000
    assert reason("a.epub", bomb) == "out_of_memory"


def told(path: Path, **metadata: str) -> list[prepare.Message]:
    return list(prepare.messages(path, metadata, "", WordPieces().count, LIMITS))


def test_metadata_say_where_a_document_is_from(tmp_path: Path) -> None:
    path = tmp_path / "almanac" / "tides.md"
    path.parent.mkdir()
    path.write_text("# Tide\u200b tables\n\nThe words of the document.")
    header = told(path, source="library/almanac/tides.md")[1][0]
    assert header["title"] == "Tide tables"
    assert header["metadata"] == {
        "source": "library/almanac/tides.md",
        "category": "almanac",
        "file_type": "md",
        "filename": "tides.md",
        "title": "Tide tables",
    }


def test_a_long_text_comes_in_pieces_that_leave_no_gap(tmp_path: Path) -> None:
    path = tmp_path / "long.txt"
    text = "\n\n".join(f"Paragraph {i} says " + "something that is long enough. " * 9 for i in range(3000))
    path.write_text(text.strip())
    _, *pieces, done = told(path)
    assert len(pieces) > 3
    joined, spans = "", []
    for header, part in pieces:
        assert header["start"] <= len(joined)
        assert header["first_ordinal"] == len(spans)
        assert len(header["spans"]) <= 256
        joined += part[len(joined) - header["start"] :]
        spans += header["spans"]
        start = header["start"]
        assert all(part[s.start - start : s.stop - start] for s in header["spans"])
    assert joined == "\n".join(line.rstrip() for line in text.split("\n"))
    assert [header["last"] for header, _ in pieces] == [False] * (len(pieces) - 1) + [True]
    assert done[0] == {"kind": "done", "container": False}
