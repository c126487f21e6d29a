"""The text of one PDF page, whichever way it runs.

pdfium joins lines that run upwards or downwards ("He" and "then" to "Hethen") and takes the lines of a page with
a rotation in the wrong order. It does both well for level text, so the page is turned until the text is level.
"""

import re
from collections import Counter
from math import pi

from pypdfium2 import PdfPage, PdfTextPage
from pypdfium2.raw import (
    FS_MATRIX,
    FPDFPage_CountObjects,
    FPDFPage_GetObject,
    FPDFPageObj_TransformF,
    FPDFText_GetCharAngle,
    FPDFText_GetUnicode,
    FPDFText_IsGenerated,
)

_FAR = 1e6  # points; text that hangs over the edge of its page is text too
_LAST_CHARACTER = 0x10FFFF
_LINE_ENDS = re.compile(r"\s*\n\s*")


def text_of(page: PdfPage) -> str:
    """Level text is one part; where a page has text in several directions the one with the most comes first."""
    page.set_rotation(0)
    textpage = page.get_textpage()
    turns = _turns(textpage)
    if not turns:
        return _whole(textpage)
    textpage.close()
    parts, turned = [], 0
    for turn in turns:
        _turn(page, (turn - turned) % 4)
        turned = turn
        textpage = page.get_textpage()
        parts.append(_level(textpage) if len(turns) > 1 else _whole(textpage))
    return "\n\n".join(parts)


def _whole(textpage: PdfTextPage) -> str:
    text: str = textpage.get_text_bounded(-_FAR, -_FAR, _FAR, _FAR)
    textpage.close()
    return text


def _turns(textpage: PdfTextPage) -> list[int]:
    """The quarter turns that make the page's text level, the most useful one first; [] for none but 0."""
    angles = [_quarters(textpage, index) for index in range(textpage.count_chars())]
    if not any(angles):
        return []
    # Spaces and line ends that pdfium adds have no angle of their own.
    real = (turn for index, turn in enumerate(angles) if not FPDFText_IsGenerated(textpage, index))
    return [turn for turn, _ in Counter(real).most_common()]


def _quarters(textpage: PdfTextPage, index: int) -> int:
    """Slanted text belongs to the nearest quarter; pdfium measures angles clockwise, in radians."""
    angle = float(FPDFText_GetCharAngle(textpage, index))
    return round(max(angle, 0.0) / (pi / 2)) % 4  # less than 0 where it cannot say


def _turn(page: PdfPage, quarters: int) -> None:
    """Turn what is on the page in memory, counter-clockwise."""
    cosine, sine = ((1, 0), (0, 1), (-1, 0), (0, -1))[quarters]
    matrix = FS_MATRIX(cosine, sine, -sine, cosine, 0, 0)
    for index in range(FPDFPage_CountObjects(page)):
        FPDFPageObj_TransformF(FPDFPage_GetObject(page, index), matrix)


def _level(textpage: PdfTextPage) -> str:
    """Only the characters that are level now; whatever runs another way ends the line."""
    found = "".join(
        chr(min(FPDFText_GetUnicode(textpage, index), _LAST_CHARACTER))
        if _quarters(textpage, index) == 0
        else "\n"
        for index in range(textpage.count_chars())
    )
    textpage.close()
    pairs = found.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return _LINE_ENDS.sub("\n", pairs).strip()
