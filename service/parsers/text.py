"""Plain text, markdown, reStructuredText, source code and any other readable text."""

import re
from collections.abc import Iterator

from service.parsers.parsed import Parsed, Raw

_PROSE = {"", "txt", "text"}  # everywhere else indentation may mean something
_MARKDOWN = {"md", "markdown", "mdown", "mkd"}
_HEADING = re.compile(r" {0,3}(#{1,6})[ \t]+(.+)")
_CLOSING_MARKS = re.compile(r"[ \t]#+$")
_UNDERLINE = re.compile(r" {0,3}(?:=+|-+)[ \t]*")
_NO_PARAGRAPH = re.compile(r"\s|[-*+>|#]|\d+[.)]|$")  # what an underline below it does not make a heading
_FENCE = re.compile(r" {0,3}(`{3,}|~{3,})")
_FRONT = re.compile(r"[\w-]+:|\s+\S|-\s|#")  # a line of YAML
_FRONT_TITLE = re.compile(r"title:[ \t]+([^>|\s].*)", re.I)
_RST_TITLE = re.compile(r"^(?:([=\-~#*^\"+])\1{2,}\n[ \t]*)?(\S[^\n]*)\n([=\-~#*^\"+])\3{2,}[ \t]*$", re.M)
_HEAD = 4096  # characters in which a title is looked for


def parse(raw: Raw) -> Iterator[Parsed]:
    head = raw.text[:_HEAD].replace("\r\n", "\n").replace("\r", "\n")
    title = ""
    if raw.suffix in _MARKDOWN:
        title = _markdown_title(head.split("\n"))
    elif raw.suffix == "rst" and (found := _RST_TITLE.search(head)):
        title = found[2]
    yield Parsed("", title, raw.text, {"file_type": raw.suffix or "txt"}, raw.suffix not in _PROSE)


def _markdown_title(lines: list[str]) -> str:
    """What the front matter says, else the first of the highest headings."""
    front = _front_matter(lines)
    for line in lines[:front]:
        if found := _FRONT_TITLE.match(line):
            return found[1].strip().strip("\"'")
    return min(_headings(lines[front:]), default=(0, ""), key=lambda heading: heading[0])[1]


def _headings(lines: list[str]) -> Iterator[tuple[int, str]]:
    before = ""
    for line in _outside_code(lines):
        if found := _HEADING.fullmatch(line):
            yield len(found[1]), _CLOSING_MARKS.sub("", found[2].rstrip()).strip()
        elif _UNDERLINE.fullmatch(line) and not _NO_PARAGRAPH.match(before):
            yield 1 if "=" in line else 2, before.strip()
        before = line


def _front_matter(lines: list[str]) -> int:
    """The number of lines of YAML that a markdown file begins with, between two lines of "---"."""
    if lines[0].rstrip() != "---":
        return 0
    for number, line in enumerate(lines[1:], 1):
        if line.rstrip() in ("---", "..."):
            return number + 1
        if not _FRONT.match(line):
            return 0
    return 0


def _outside_code(lines: list[str]) -> Iterator[str]:
    fence = ""
    for line in lines:
        found = _FENCE.match(line)
        if fence:
            closes = found and found[1].startswith(fence) and not line.strip().strip(fence[0])
            fence = "" if closes else fence
        elif found:
            fence = found[1]
        else:
            yield line
