"""What a file is, is seen in its bytes."""

import random
from pathlib import Path

import pytest

from service.errors import DocumentFailed, SkipDocument
from service.parsers.charset import decode
from service.parsers.parsed import Raw
from service.parsers.sniff import sniff
from tests.parsers import makers

OLE2 = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(504)
GERMAN = "Die Schleuse am inneren Becken wird im Frühjahr geölt, sobald die Nächte frostfrei sind."


def family(name: str, data: bytes) -> str:
    return sniff(Raw(Path(name), data, ""))[0]


def test_content_outranks_the_suffix() -> None:
    assert family("a.txt", makers.pdf([["words"]])) == "pdf"
    assert family("a.pdf", makers.word(["words"])) == "docx"
    assert family("a.zip", makers.book(["words"])) == "epub"
    assert family("a.pdf", b"plain words, whatever the name says") == "text"
    assert family("a.txt", b"<!DOCTYPE html><p>words") == "html"
    assert family("a", b'<?xml version="1.0"?>\n<!-- x -->\n<html xmlns="...">') == "html"
    assert family("a.txt", b'{"text": "words"}') == "json"
    assert family("a.log", b'{"text": "words"}\n{"text": "more"}\n') == "jsonl"


def test_the_suffix_breaks_ties() -> None:
    assert family("a.csv", b"one,two\n1,2\n") == "csv"
    assert family("a.txt", b"one,two\n1,2\n") == "text"
    assert family("a.jsonl", b'{"text": "words"}') == "jsonl"
    assert family("a.html", b"<p>a fragment</p>") == "html"
    assert family("a.md", b"<p>markdown may begin so</p>") == "text"
    assert family("a.ini", b"[section]\nkey = value\n") == "text"


@pytest.mark.parametrize(
    "data",
    [
        random.Random(1).randbytes(4096),
        b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + bytes(40),
        makers.zipped({"notes.txt": "words"}),
        OLE2,
    ],
)
def test_what_is_not_text_is_of_unknown_type(data: bytes) -> None:
    with pytest.raises(SkipDocument) as skipped:
        family("a.bin", data)
    assert skipped.value.reason == "unknown_type"


def test_an_encrypted_office_file_says_so() -> None:
    with pytest.raises(SkipDocument) as skipped:
        family("a.docx", OLE2 + "EncryptedPackage".encode("utf-16-le"))
    assert skipped.value.reason == "encrypted"


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("a.docx", makers.word(["words"])[:-300]),
        ("a.epub", makers.zipped({"notes.txt": "words"})),
        ("a.pdf", random.Random(1).randbytes(500)),
    ],
)
def test_a_broken_file_of_a_known_kind_is_damaged(name: str, data: bytes) -> None:
    with pytest.raises(DocumentFailed) as failed:
        family(name, data)
    assert failed.value.reason == "damaged"


@pytest.mark.parametrize(
    "encoding",
    ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "latin-1", "cp1252"],
)
def test_text_is_read_in_the_encoding_it_is_written_in(encoding: str) -> None:
    assert decode(GERMAN.encode(encoding)) == GERMAN


@pytest.mark.parametrize(
    ("encoding", "text"),
    [
        ("shift_jis", "潮汐表を毎朝確認してください。灯台の記録も忘れずに。" * 3),
        ("gb18030", "海面平静,灯塔整夜亮着,请每天早上检查潮汐表。" * 3),
        ("koi8-r", "Море было спокойно, и маяк горел всю ночь напролёт. " * 3),
    ],
)
def test_older_encodings_are_guessed_from_the_text(encoding: str, text: str) -> None:
    assert decode(text.encode(encoding)) == text


def test_a_few_bad_bytes_do_not_spoil_utf8() -> None:
    before, after = GERMAN * 9, GERMAN * 11
    assert decode(before.encode() + b"\xff" + after.encode()) == f"{before}\ufffd{after}"


def test_a_bad_byte_beyond_the_sample_is_replaced_not_fatal() -> None:
    text = decode(b"plain words " * 10_000 + b"\xff\xfe end")
    assert text is not None
    assert text.endswith(" end")
