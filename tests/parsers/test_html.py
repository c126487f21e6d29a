"""No page comes out shorter than a reader sees it."""

from pathlib import Path

import pytest
from lxml import html as lxml_html

from service.errors import DocumentFailed
from service.parsers import html
from service.parsers.sandbox import Sandbox, SandboxSettings
from service.ports import FileTask
from tests.parsers.test_formats import one, reason

PILOT = "The harbour pilot boards the ship at the outer buoy and brings it in. " * 6
MEGABYTES = 12  # libxml2 takes ten for one text or attribute unless it is told otherwise


def lines(page: str) -> list[str]:
    return [line.strip() for line in one("a.html", page.encode()).text.splitlines() if line.strip()]


@pytest.mark.parametrize(
    "row", ["<p><font size=2>Row {}.", "<li><span><b>Row {}.", "<div><P><B title='>'>Row {}."]
)
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


def test_a_page_whose_tree_is_larger_than_memory_says_so(tmp_path: Path) -> None:
    path = tmp_path / "a.html"
    path.write_text("<p>a<b>b</b>" * 2_000_000)
    sandbox = Sandbox(SandboxSettings("tests.parsers.counters:WordPieces", ".", memory_bytes=600_000_000))
    with pytest.raises(DocumentFailed, match="out_of_memory"):
        list(sandbox.prepare(FileTask(path, {})))
    sandbox.close()


def test_two_articles_and_what_stands_beside_them_are_kept() -> None:
    page = f"<article><h2>One</h2><p>{PILOT}</p></article><article><h2>Two</h2><p>The crane.</p></article>"
    assert lines(f"{page}<main><p>The main part.</p></main>") == [
        "One",
        PILOT.strip(),
        "Two",
        "The crane.",
        "The main part.",
    ]


@pytest.mark.parametrize(
    "part",
    [
        '<div class="note">Mind the step.</div>',
        "<figure><img src=a.png><figcaption>Mind the step.</figcaption></figure>",
        "<div>Mind the step.</div>",
        "<details><summary>Mind the step.</summary>And the rope.</details>",
        "<details><summary>What else?</summary>Mind the step.</details>",
        "<aside>Mind the step.</aside>",
        "<form><label>Mind the step.</label></form>",
        "<header><h1>Mind the step.</h1></header>",
        "<div><h3>Mind the step.</h3></div>",
        "<article><footer>Mind the step.</footer></article>",
    ],
)
def test_no_part_of_a_page_is_lost(part: str) -> None:
    page = f"<html><body><h1>Guide</h1><p>{PILOT}</p>{part}<p>{PILOT}</p></body></html>"
    assert "Mind the step." in one("a.html", page.encode()).text


def test_headings_are_kept_however_long_the_page() -> None:
    sections = (f"<div class=top><div><h2>{i}. Part</h2></div></div><p>{PILOT}{i}</p>" for i in range(50))
    text = one("a.html", f"<html><body>{''.join(sections)}</body></html>".encode()).text
    assert [i for i in range(50) if f"{i}. Part" not in text] == []


def test_a_pages_own_navigation_and_footer_are_left_out_either_way() -> None:
    frame = "<nav><a href=/>Start page</a></nav>{}<footer>Imprint</footer>"
    for body in (f"<main><p>{PILOT}</p></main>", "<div>The pilot.</div><form>Send it to us</form>"):
        assert not {"Start page", "Imprint"} & set(lines(frame.format(body)))


def test_a_page_that_is_all_navigation_is_its_text() -> None:
    text = one("a.html", b"<nav><ul><li>The almanac<li>The tide tables</ul></nav>").text
    assert "The almanac" in text
    assert "The tide tables" in text


def test_blocks_are_lines_cells_are_parted_and_preformatted_text_stays_as_it_is() -> None:
    page = """<div>Loose <b>bold</b>
      words<h2>Heading</h2><ul><li>one <li>two<ul><li>inner</ul></ul>
      <table><tr><th></th><th>Depth</th><th> Buoy </th></tr> <tr> <td>North</td> <td>5 m</td><td></td></tr></table>
      <table><tr><td><p>left</p></td><td><p>right</p></td></tr></table>
      <pre>def f():\n    return 1</pre>verse<br>  line</div>"""
    tree = lxml_html.fromstring(page)
    text = "\n".join(line.rstrip() for line in html.visible_text(tree).splitlines() if line.strip())
    assert text == (
        "Loose bold words\nHeading\none\ntwo\ninner\n | Depth | Buoy\nNorth | 5 m\nleft\nright\n"
        "def f():\n    return 1\nverse\nline"
    )
