"""A book is indexed as far as it can be read."""

import io
import zipfile

import pytest

from tests.parsers import makers
from tests.parsers.test_formats import one, reason

CHAPTERS = ["<p>third</p>", "<p>second</p>", "<p>first words</p>"]
PACKAGE = "OEBPS/book.opf"
MIDDLE = "OEBPS/text/c1.xhtml"


def members(data: bytes) -> dict[str, str | bytes]:
    with zipfile.ZipFile(io.BytesIO(data)) as whole:
        return {name: whole.read(name) for name in whole.namelist()}


def with_package(*changes: tuple[bytes, bytes]) -> bytes:
    found = members(makers.book(CHAPTERS))
    package = found[PACKAGE]
    assert isinstance(package, bytes)
    for old, new in changes:
        assert old in package
        package = package.replace(old, new)
    return makers.zipped(found | {PACKAGE: package})


def without(name: str) -> bytes:
    found = members(makers.book(CHAPTERS))
    del found[name]
    return makers.zipped(found)


def with_a_wrong_checksum(name: str) -> bytes:
    found = members(makers.book(CHAPTERS))
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as archive:
        for each, content in found.items():
            archive.writestr(each, content)
    content = found[name]
    assert isinstance(content, bytes)
    return target.getvalue().replace(content, content.replace(b"second", b"secund"))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b'<itemref idref="c1"/>', b'<itemref idref="c1"/><itemref idref="ghost"/><itemref/>'),
        (b'<itemref idref="c2"/>', b'<itemref idref="c2"/><itemref idref="x"/>'),
        (b'media-type="application/xhtml+xml"', b'media-type="application/xml"'),
    ],
    ids=["reference to nothing", "reference to an item without a file", "wrong type"],
)
def test_what_is_wrong_in_the_package_costs_no_chapter(old: bytes, new: bytes) -> None:
    item = (b"</manifest>", b'<item id="x" media-type="text/html"/></manifest>')
    found = one("a.epub", with_package(item, (old, new)))
    assert found.text.split() == ["first", "words", "second", "third"]
    assert "unread_chapters" not in found.metadata


@pytest.mark.parametrize(
    "book",
    [
        without(MIDDLE),
        with_a_wrong_checksum(MIDDLE),
        makers.zipped(members(makers.book(CHAPTERS)) | {MIDDLE: b"\0\1\2" * 500}),
        makers.book([CHAPTERS[0], "<div>" * 3000 + "second", CHAPTERS[2]]),
    ],
    ids=["missing", "damaged", "not text", "too deep"],
)
def test_a_chapter_that_cannot_be_read_is_left_out_and_counted(book: bytes) -> None:
    found = one("a.epub", book)
    assert found.text.split() == ["first", "words", "third"]
    assert found.metadata["unread_chapters"] == "1"


def test_without_a_spine_chapters_come_in_the_order_of_the_manifest() -> None:
    spine = b'<spine><itemref idref="c2"/><itemref idref="c1"/><itemref idref="c0"/></spine>'
    image = (b"<manifest>", b'<manifest><item id="i" href="i.png" media-type="image/png"/>')
    for empty in (b"", b"<spine/>", b'<spine><itemref idref="ghost"/></spine>'):
        found = one("a.epub", with_package((spine, empty), image))
        assert found.text.split() == ["third", "second", "first", "words"]


def test_a_book_of_which_nothing_can_be_read_is_damaged() -> None:
    found = {name: data for name, data in members(makers.book(CHAPTERS)).items() if "/text/" not in name}
    assert reason("a.epub", makers.zipped(found)) == "damaged"


def test_code_in_a_book_keeps_its_indentation() -> None:
    found = one("a.epub", makers.book(["<pre>def f():\n    return 1</pre>"]))
    assert found.keep_indentation
    assert "def f():\n    return 1" in found.text
