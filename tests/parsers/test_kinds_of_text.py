"""What is text is told apart further: PDF or a word about it, JSON that is whole or not, HTML without a head."""

import json
import random
from pathlib import Path

import pytest

from service.errors import SkipDocument
from service.parsers.parsed import Parsed, Raw
from service.parsers.sniff import sniff
from tests.contracts.parser import parse
from tests.parsers import makers

ABOUT_PDF = "# The format\n\nA file begins with `%PDF-1.7`:\n\n```\n%PDF-1.7\n1 0 obj\nendobj\n%%EOF\n```\n"
PDF = makers.pdf([["words of the page"]])
BINARY_PDF = PDF.replace(b"endobj", b"endobj\n%\x01\x02\x03\x04\x05\xe2\xe3\xcf\xd3" * 300, 1)


def family(name: str, content: str | bytes) -> str:
    return sniff(Raw(Path(name), content.encode() if isinstance(content, str) else content, ""))[0]


def records(name: str, content: str) -> list[str]:
    return [one.record if isinstance(one, Parsed) else one.reason for one in parse(name, content.encode())]


@pytest.mark.parametrize(
    ("name", "text"),
    [("a.md", ABOUT_PDF), ("a.py", 'MAGIC = b"%PDF-"\n'), ("a.txt", "Généralités du format %PDF-1.4")],
)
def test_a_text_about_pdf_is_a_text(name: str, text: str) -> None:
    assert family(name, text) == "text"
    assert family(name, text.encode("cp1252")) == "text"


@pytest.mark.parametrize(
    "junk", [b"", b"\n" * 500, b"\xef\xbb\xbf", b"\0" * 20, random.Random(1).randbytes(200)]
)
@pytest.mark.parametrize("name", ["a.pdf", "a.txt", "a"])
def test_a_pdf_with_junk_before_it_is_a_pdf(junk: bytes, name: str) -> None:
    assert family(name, junk + PDF) == "pdf"


def test_a_pdf_behind_a_readable_head_is_a_pdf_where_its_name_or_its_bytes_say_so() -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/pdf\r\n\r\n"
    assert family("a.pdf", head + PDF) == "pdf"
    assert family("download", head + BINARY_PDF) == "pdf"


@pytest.mark.parametrize(
    "text",
    [
        '{\n  // options\n  "target": "es2020",\n}\n',
        '{"title": "Tides", "content": "The tide rises twice a d',
        "[" * 500 + '"deep"' + "]" * 500,
        "[" * 100_000,
        '{"text": "a big integer", "v": ' + "9" * 5000 + "}",
    ],
)
def test_json_that_does_not_parse_is_read_as_text(text: str) -> None:
    (found,) = parse("a.json", text.encode())
    assert isinstance(found, Parsed)
    assert found.text == text


ONE, TWO = {"id": "1", "text": "the first object"}, {"id": "2", "text": "the second object"}


@pytest.mark.parametrize("suffix", ["json", "jsonl", "log"])
@pytest.mark.parametrize(
    "text",
    [
        json.dumps(ONE) + json.dumps(TWO),
        json.dumps(ONE, indent=1) + "\n" + json.dumps(TWO, indent=1) + "\n",
        json.dumps(ONE) + "\r" + json.dumps(TWO) + "\r",
        json.dumps(ONE) + "\n" + json.dumps(TWO),
    ],
)
def test_objects_one_after_another_are_records_however_they_are_wrapped(text: str, suffix: str) -> None:
    assert records(f"a.{suffix}", text) == ["1", "2"]


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        (json.dumps([ONE, TWO]), "json"),
        ("[\n" + json.dumps(ONE) + ",\n" + json.dumps(TWO) + "\n]\n", "json"),
        (json.dumps(ONE, indent=1), "jsonl"),
        (json.dumps(ONE) + "\n{oops\n", "jsonl"),
        ("[1, 2]\n[3, 4]\n", "jsonl"),
        ("not json\nnor this\n", "text"),
        ("<!doctype html><p>words</p>", "html"),
    ],
)
def test_the_suffix_jsonl_is_believed_where_most_lines_are_records(text: str, kind: str) -> None:
    assert family("a.jsonl", text) == kind


@pytest.mark.parametrize(
    "text",
    [
        "<section><article><dl><dt>Tide</dt></dl></article></section>",
        "<li>An entry</li>",
        "<main>words</main>",
        "<details><summary>words</summary></details>",
        "<script>" + "var x = 1;" * 1000 + "</script><p>words</p>",
        "words first, and then <br/> a line",
        "<!-- " + "comment " * 1000 + " --><p>words</p>",
    ],
)
def test_a_fragment_is_html_where_its_name_says_so(text: str) -> None:
    assert family("a.html", text) == "html"
    assert family("a.md", text) == "text"


def test_what_is_no_html_at_all_is_text_whatever_its_name() -> None:
    assert family("a.html", "if a <bc and d> e: plain words") == "text"
    assert family("a.txt", "<!-- " + "comment " * 1000 + " --><html>") == "html"


def test_rich_text_is_skipped_by_name() -> None:
    with pytest.raises(SkipDocument) as skipped:
        family("a.txt", r"{\rtf1\ansi The harbour opens in {\b April}.}")
    assert skipped.value.reason == "unknown_type"
    assert "RTF" in skipped.value.detail
