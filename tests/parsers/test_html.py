"""No page comes out shorter than a reader sees it."""

import pytest

from service.errors import DocumentFailed
from service.parsers import html
from tests.parsers.test_formats import one, reason

MEGABYTES = 12  # libxml2 takes ten for one text or attribute unless it is told otherwise


def lines(page: str) -> list[str]:
    return [line.strip() for line in one("a.html", page.encode()).text.splitlines() if line.strip()]


@pytest.mark.parametrize("row", ["<p><font size=2>Row {}."])
@pytest.mark.parametrize("rows", [300, 700])
def test_tags_never_closed_lose_no_row(row: str, rows: int) -> None:
    text = one("a.html", ("<html><body>" + "".join(row.format(i) for i in range(rows))).encode()).text
    assert [i for i in range(rows) if f"Row {i}." not in text] == []


def test_formatting_never_closed_may_nest_deeper_than_the_parser_goes() -> None:
    page = "<html><body>" + "".join(f"<p><FONT size=2>Row {i}.<br>" for i in range(20_000))
    text = one("a.html", page.encode()).text
    assert text.count("Row") == 20_000
    assert "FONT" not in text


@pytest.mark.parametrize("depth", [260, 2000])
def test_a_deep_page_comes_out_whole(depth: int) -> None:
    page = f"<p>Before it.</p>{'<div>' * depth}<p>Deep inside.</p>{'</div>' * depth}<p>Behind it.</p>"
    assert lines(page) == ["Before it.", "Deep inside.", "Behind it."]


def test_a_page_too_deep_to_be_read_is_damaged_never_cut_off() -> None:
    assert reason("a.html", b"<p>Before it.</p>" + b"<div>" * 3000 + b"Deep inside.") == "damaged"


def test_characters_that_end_the_parser_are_damage() -> None:
    with pytest.raises(DocumentFailed, match="gave up"):
        html.tree_of("<p>before \ud800 after")


@pytest.mark.parametrize(
    "large",
    [
        "<p>" + "word " * (MEGABYTES * 200_000),
        "<pre>" + "a line\n" * (MEGABYTES * 150_000) + "</pre>",
        f"<script>{'A' * (MEGABYTES * 1_000_000)}</script>",
        f"<img src='data:image/png;base64,{'A' * (MEGABYTES * 1_000_000)}'>",
    ],
    ids=["text", "preformatted", "script", "attribute"],
)
def test_a_large_text_or_attribute_ends_nothing(large: str) -> None:
    text = one("a.html", f"<p>Before the large one.</p>{large}<p>Behind the large one.</p>".encode()).text
    assert text.split()[-4:] == ["Behind", "the", "large", "one."]
    assert text.count("word") == large.count("word")
    assert text.count("a line") == large.count("a line")
