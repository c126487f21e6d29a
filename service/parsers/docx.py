"""Word documents, from their XML: all the text a reader sees, in the order in which it is written."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from service.errors import SkipDocument
from service.parsers import drawing, opc
from service.parsers.archive import damage_named, open_archive
from service.parsers.opc import attribute, child, local_name
from service.parsers.parsed import NO_TEXT, Parsed, Raw

_BESIDE_THE_BODY = ("footnotes", "endnotes", "header", "footer")
# Deleted and moved-away text, how ruby text is read aloud, and properties, among which tabs are no text.
_UNSEEN = {"del", "moveFrom", "rt", "pPr", "rPr", "sdtPr", "tblPr", "trPr", "tcPr", "sectPr"}
_MARKS = {"tab": "\t", "ptab": "\t", "br": "\n", "cr": "\n", "noBreakHyphen": "-"}
_LONGEST_LABEL = 200  # characters; what a merged cell says to all its rows, unless it is a text of its own
_MATH = {"den": "/", "sup": "^", "sub": "_"}  # without which a fraction would read as a number


def parse(raw: Raw) -> Iterator[Parsed]:
    with damage_named(), open_archive(raw.data) as archive:
        main = opc.main_part(archive)
        levels = _levels(opc.xml(archive, part) for part in opc.parts(archive, main, "styles"))
        stories = [main, *opc.parts(archive, main, *_BESIDE_THE_BODY)]
        # Equal headers of several sections come once.
        told = dict.fromkeys("\n\n".join(_blocks(opc.xml(archive, part), levels)) for part in stories)
        charts = [drawing.chart(opc.xml(archive, part)) for part in opc.parts(archive, main, "chart")]
        boxes = [drawing.diagram(opc.xml(archive, part)) for part in opc.parts(archive, main, "diagramData")]
        title, author = opc.title_and_author(archive)
    text = "\n\n".join(story for story in [*told, *charts, *boxes] if story)
    if not text:
        raise SkipDocument(NO_TEXT, "a docx file without text")
    yield Parsed("", title, text, {"file_type": "docx", "author": author}, keep_indentation=True)


def _levels(styles: Iterable[Any]) -> dict[str, int]:
    """Of the headings, by the style's id; ids are translated, names are not."""
    found = {}
    for style in (each for root in styles for each in root if local_name(each) == "style"):
        name = attribute(child(style, "name"), "val").lower()
        level = name.removeprefix("heading ")
        if name == "title" or level.isdecimal():
            found[attribute(style, "styleId")] = min(int(level), 6) if level.isdecimal() else 1
    return found


def _visible(element: Iterable[Any]) -> Iterator[tuple[str, Any]]:
    return ((name, each) for name, each in opc.visible(element) if name not in _UNSEEN)


def _nearest(element: Any, wanted: str) -> Iterator[Any]:
    for name, each in _visible(element):
        if name == wanted:
            yield each
        else:
            yield from _nearest(each, wanted)


def _blocks(element: Iterable[Any], levels: Mapping[str, int]) -> Iterator[str]:
    """Paragraphs and tables with text in them, however deep content controls and changes wrap them."""
    for name, each in _visible(element):
        if name in ("p", "oMath", "oMathPara"):
            yield from _paragraph(each, levels)
        elif name == "tbl":
            yield from _table(each, levels)
        else:
            yield from _blocks(each, levels)


def _paragraph(element: Any, levels: Mapping[str, int]) -> Iterator[str]:
    """Headings are marked as in markdown, for the chunker to see; text boxes follow their paragraph."""
    apart: list[Any] = []
    text = _inline(element, apart)
    level = levels.get(attribute(child(element, "pPr", "pStyle"), "val"), 0)
    if text.strip():
        yield f"{'#' * level} {text.strip()}" if level else text
    yield from _blocks(apart, levels)


def _inline(element: Any, apart: list[Any]) -> str:
    """The text inside, less that of text boxes and tables, which are put `apart`."""
    found = []
    for name, each in _visible(element):
        if name == "t":
            found.append(each.text or "")
        elif name in ("txbxContent", "tbl"):
            apart.append(each)
        else:
            text = _MARKS.get(name, "") + _inline(each, apart)
            found.append(_MATH.get(name, "") + text if text else "")
            found.append("\n" if name == "p" else "")
    return "".join(found)


def _table(table: Any, levels: Mapping[str, int]) -> Iterator[str]:
    """Rows as lines; what a cell holds beside its paragraphs follows the row."""
    rows = [list(_nearest(row, "tc")) for row in _nearest(table, "tr")]
    if [len(cells) for cells in rows] == [1]:  # a frame round a part of the document
        yield from _blocks(rows[0][0], levels)
        return
    lines: list[str] = []
    above: dict[int, str] = {}
    for cells in rows:
        apart: list[Any] = []
        above = _by_column(cells, above, apart)
        if any(text.strip() for text in above.values()):
            lines.append(opc.row(above.values()))
        if apart and lines:
            yield "\n".join(lines)
            lines = []
        yield from _blocks(apart, levels)
    if lines:
        yield "\n".join(lines)


def _by_column(cells: Iterable[Any], above: Mapping[int, str], apart: list[Any]) -> dict[int, str]:
    """A label that goes on from the row above is told again, so that each line stands for itself."""
    found, column = {}, 0
    for cell in cells:
        merged = child(cell, "tcPr", "vMerge")
        goes_on = merged is not None and attribute(merged, "val") != "restart"
        text = above.get(column, "") if goes_on else _inline(cell, apart)
        found[column] = "" if goes_on and len(text) > _LONGEST_LABEL else text
        column += int(attribute(child(cell, "tcPr", "gridSpan"), "val") or 1)
    return found
