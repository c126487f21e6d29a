"""PDF files whose objects are written by hand: turned text, forms, pages with nothing on them."""

from collections.abc import Mapping, Sequence

from tests.parsers import makers

FONT = b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>"
ACROSS, UP, OVERHEAD, DOWN = "1 0 0 1 40 700", "0 1 -1 0 200 100", "-1 0 0 -1 500 100", "0 -1 1 0 400 700"


def pdf(
    pages: Sequence[str],
    page_extra: str = "",
    catalog_extra: str = "",
    more: Sequence[bytes] = (),
    title: str = "",
) -> bytes:
    """Pages of these contents. Object 3 is the font; `more` objects are numbered from 4."""
    first = 4 + len(more)
    kids = " ".join(f"{first + 2 * i} 0 R" for i in range(len(pages)))
    objects = [
        f"<< /Type /Catalog /Pages 2 0 R {catalog_extra} >>".encode(),
        f"<< /Type /Pages /Kids [{kids}] /Count {len(pages)} >>".encode(),
        FONT,
        *more,
    ]
    for i, content in enumerate(pages):
        page = f"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 600 800] /Contents {first + 2 * i + 1} 0 R"
        resources = "/Font << /F1 3 0 R >>" + (" /XObject << /X 4 0 R >>" if more else "")
        objects.append(f"{page} /Resources << {resources} >> {page_extra} >>".encode())
        objects.append(stream(content))
    objects.append(f"<< /Title ({title}) >>".encode())
    return makers.assembled(objects)


def stream(content: str, entries: str = "") -> bytes:
    return f"<< {entries} /Length {len(content)} >>\nstream\n{content}\nendstream".encode()


def lines(texts: Sequence[str], matrix: str = ACROSS) -> str:
    """Content that shows these lines below each other, all turned by a matrix."""
    shown = "".join(f"BT /F1 11 Tf 0 {-14 * i} Td ({text}) Tj ET\n" for i, text in enumerate(texts))
    return f"q {matrix} cm\n{shown}Q\n"


def widget(entries: Mapping[str, str]) -> bytes:
    told = " ".join(f"/{key} {value}" for key, value in entries.items())
    return f"<< /Type /Annot /Subtype /Widget /Rect [0 0 90 20] {told} >>".encode()
