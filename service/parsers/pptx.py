"""PowerPoint presentations and shows, slide by slide, from their XML."""

import zipfile
from collections.abc import Iterator
from typing import Any

from service.errors import SkipDocument
from service.parsers import drawing, opc
from service.parsers.archive import damage_named, open_archive
from service.parsers.opc import attribute, child
from service.parsers.parsed import NO_TEXT, Parsed, Raw


def parse(raw: Raw) -> Iterator[Parsed]:
    with damage_named(), open_archive(raw.data) as archive:
        slides = ["\n".join(_slide(archive, part)) for part in _slides(archive)]
        title, author = opc.title_and_author(archive)
    text = "\n\n".join(slide for slide in slides if slide.strip())
    if not text:
        raise SkipDocument(NO_TEXT, "a pptx file without text")
    metadata = {"file_type": "pptx", "author": author, "pages": str(len(slides))}
    yield Parsed("", title, text, metadata, keep_indentation=True)


def _slides(archive: zipfile.ZipFile) -> list[str]:
    """In the order in which they are shown."""
    main = opc.main_part(archive)
    parts = {relation.id: relation.part for relation in opc.relations(archive, main)}
    order = child(opc.xml(archive, main), "sldIdLst")
    return [] if order is None else [parts[opc.reference(slide)] for slide in order]


def _slide(archive: zipfile.ZipFile, part: str) -> Iterator[str]:
    """The title, marked as in markdown, then the other shapes, then the notes."""
    related = {relation.id: relation.part for relation in opc.relations(archive, part)}
    shapes = list(_shapes(child(opc.xml(archive, part), "cSld", "spTree")))
    title = next((shape for shape in shapes if _placeholder(shape) in ("title", "ctrTitle")), None)
    if title is not None and (text := " ".join(drawing.lines(title).split())):
        yield f"# {text}\n"
    for shape in shapes:
        if shape is not title and _placeholder(shape) != "sldNum":
            yield from (text for text in _shape(archive, shape, related) if text.strip())
    for notes in opc.parts(archive, part, "notesSlide"):
        for shape in _shapes(child(opc.xml(archive, notes), "cSld", "spTree")):
            if _placeholder(shape) == "body":
                yield drawing.lines(shape)


def _shapes(tree: Any) -> Iterator[Any]:
    """Those in groups too."""
    for name, each in opc.visible(tree):
        if name == "grpSp":
            yield from _shapes(each)
        elif name in ("sp", "graphicFrame"):
            yield each


def _placeholder(shape: Any) -> str:
    """What the layout keeps this shape's place for; "" for a shape of its own."""
    place = child(shape, "nvSpPr", "nvPr", "ph")
    return "" if place is None else attribute(place, "type")


def _shape(archive: zipfile.ZipFile, shape: Any, related: dict[str, str]) -> Iterator[str]:
    content = child(shape, "graphic", "graphicData")
    if content is None:
        yield drawing.lines(shape)
        return
    for name, each in opc.visible(content):
        if name == "tbl":
            yield "\n".join(_rows(each))
        elif name == "chart":
            yield drawing.chart(opc.xml(archive, related[opc.reference(each)]))
        elif name == "relIds":
            yield drawing.diagram(opc.xml(archive, related[opc.reference(each, "dm")]))


def _rows(table: Any) -> Iterator[str]:
    for row in table.iter("{*}tr"):
        yield opc.row(drawing.lines(cell) for cell in row.iter("{*}tc"))
