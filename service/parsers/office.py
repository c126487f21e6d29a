"""PowerPoint presentations."""

import io
from collections.abc import Iterable, Iterator
from typing import Any

from service.errors import SkipDocument
from service.parsers.archive import damage_named, open_archive
from service.parsers.parsed import NO_TEXT, Parsed, Raw


def parse_pptx(raw: Raw) -> Iterator[Parsed]:
    import pptx
    from pptx.exc import PythonPptxError

    with damage_named(PythonPptxError), open_archive(raw.data):
        deck = pptx.Presentation(io.BytesIO(raw.data))
        slides = ["\n".join(_slide(slide)) for slide in deck.slides]
        parsed = _parsed("pptx", slides, deck.core_properties)
    yield parsed


def _parsed(file_type: str, parts: list[str], properties: Any) -> Parsed:
    """One document of paragraphs, slides or sheets. Raises SkipDocument when there is no text in them."""
    text = "\n\n".join(part for part in parts if part.strip())
    if not text:
        raise SkipDocument(NO_TEXT, f"a {file_type} file without text")
    author = getattr(properties, "author", None) or getattr(properties, "creator", None) or ""
    metadata = {"file_type": file_type, "author": author}
    if file_type == "pptx":
        metadata["pages"] = str(len(parts))
    return Parsed("", properties.title or "", text, metadata, keep_indentation=True)


def _row(cells: Iterable[str]) -> str:
    return " | ".join(" ".join(cell.split()) for cell in cells)


def _slide(slide: Any) -> Iterator[str]:
    title = slide.shapes.title
    if title is not None and title.text_frame.text.strip():
        yield f"# {' '.join(title.text_frame.text.split())}\n"
    for shape in slide.shapes:
        if title is None or shape.shape_id != title.shape_id:
            yield from _shape(shape)
    if slide.has_notes_slide and slide.notes_slide.notes_text_frame is not None:
        yield slide.notes_slide.notes_text_frame.text


def _shape(shape: Any) -> Iterator[str]:
    if hasattr(shape, "shapes"):  # a group
        for inner in shape.shapes:
            yield from _shape(inner)
    elif getattr(shape, "has_table", False):
        yield "\n".join(_row(cell.text for cell in row.cells) for row in shape.table.rows)
    elif shape.has_text_frame:
        yield str(shape.text_frame.text)
