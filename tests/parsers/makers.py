"""Small documents of every binary format, made on the fly."""

import io
import zipfile
from collections.abc import Sequence

import docx
import openpyxl
import pptx

CONTAINER = """<?xml version="1.0"?><container xmlns="urn:oasis:names:tc:opendocument:xmlns:container"><rootfiles>
<rootfile full-path="OEBPS/book.opf" media-type="application/oebps-package+xml"/></rootfiles></container>"""


def pdf(pages: Sequence[Sequence[str]], title: str = "") -> bytes:
    """A PDF with one line of text per string, written by hand; ASCII without brackets only."""
    objects = [b"<< /Type /Catalog /Pages 2 0 R >>"]
    kids = " ".join(f"{4 + 2 * i} 0 R" for i in range(len(pages)))
    objects.append(f"<< /Type /Pages /Kids [{kids}] /Count {len(pages)} >>".encode())
    objects.append(b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>")
    for i, lines in enumerate(pages):
        page = f"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 600 800] /Contents {5 + 2 * i} 0 R"
        objects.append(f"{page} /Resources << /Font << /F1 3 0 R >> >> >>".encode())
        shown = "".join(f"({line}) Tj 0 -14 Td " for line in lines)
        stream = f"BT /F1 11 Tf 40 760 Td {shown}ET".encode()
        objects.append(b"<< /Length %d >>\nstream\n%b\nendstream" % (len(stream), stream))
    objects.append(f"<< /Title ({title}) >>".encode())
    return assembled(objects)


def assembled(objects: Sequence[bytes]) -> bytes:
    out, offsets = bytearray(b"%PDF-1.4\n"), []
    for number, body in enumerate(objects, 1):
        offsets.append(len(out))
        out += b"%d 0 obj\n%b\nendobj\n" % (number, body)
    start, count = len(out), len(objects) + 1
    out += b"xref\n0 %d\n0000000000 65535 f \n" % count
    out += b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    trailer = b"trailer << /Size %d /Root 1 0 R /Info %d 0 R >>\nstartxref\n%d\n%%%%EOF\n"
    return bytes(out + trailer % (count, len(objects), start))


def word(paragraphs: Sequence[str], rows: Sequence[Sequence[str]] = (), title: str = "") -> bytes:
    document = docx.Document()
    document.core_properties.title, document.core_properties.author = title, "A. Author"
    document.add_heading("First heading", 1)
    for paragraph in paragraphs:
        document.add_paragraph(paragraph)
    if rows:
        table = document.add_table(len(rows), len(rows[0]))
        for i, row in enumerate(rows):
            for j, cell in enumerate(row):
                table.cell(i, j).text = cell
    return _saved(document)


def slides(titles: Sequence[str], notes: str = "") -> bytes:
    deck = pptx.Presentation()
    for title in titles:
        slide = deck.slides.add_slide(deck.slide_layouts[1])
        slide.shapes.title.text = title
        slide.placeholders[1].text = f"What is to be said of {title}"
        slide.notes_slide.notes_text_frame.text = notes
    return _saved(deck)


def sheets(content: dict[str, Sequence[Sequence[object]]]) -> bytes:
    book = openpyxl.Workbook()
    book.remove(book.worksheets[0])
    for name, rows in content.items():
        sheet = book.create_sheet(name)
        for row in rows:
            sheet.append(list(row))
    return _saved(book)


def _saved(document: object) -> bytes:
    target = io.BytesIO()
    document.save(target)  # type: ignore[attr-defined]
    return target.getvalue()


def zipped(members: dict[str, str | bytes]) -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return target.getvalue()


def inflated(data: bytes, member: str, megabytes: int) -> bytes:
    """The archive `data` with an XML member that expands to so many megabytes of tiny elements."""
    target = io.BytesIO()
    with (
        zipfile.ZipFile(io.BytesIO(data)) as source,
        zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive,
    ):
        for name in source.namelist():
            content = source.read(name)
            if name != member:
                archive.writestr(name, content)
                continue
            head, last = content[: content.rindex(b"</")], content[content.rindex(b"</") :]
            with archive.open(name, "w") as inside:
                inside.write(head)
                for _ in range(megabytes):
                    inside.write(b"<si><t>a</t></si>" * 58_823)
                inside.write(last)
    return target.getvalue()


def book(chapters: Sequence[str], title: str = "A book", more: dict[str, str | bytes] | None = None) -> bytes:
    """An EPUB whose spine runs against the order of its files."""
    ids = [f"c{i}" for i in range(len(chapters))]
    items = "".join(f'<item id="{i}" href="text/{i}.xhtml" media-type="application/xhtml+xml"/>' for i in ids)
    spine = "".join(f'<itemref idref="{i}"/>' for i in reversed(ids))
    package = f"""<?xml version="1.0"?><package xmlns="http://www.idpf.org/2007/opf" version="3.0">
    <metadata xmlns:dc="http://purl.org/dc/elements/1.1/"><dc:title>{title}</dc:title>
    <dc:creator>A. Author</dc:creator></metadata><manifest>{items}</manifest><spine>{spine}</spine></package>"""
    members: dict[str, str | bytes] = {
        "mimetype": "application/epub+zip",
        "META-INF/container.xml": CONTAINER,
    }
    members["OEBPS/book.opf"] = package
    for name, chapter in zip(ids, chapters, strict=True):
        page = f"<?xml version='1.0' encoding='utf-8'?><html><head/><body>{chapter}</body></html>"
        members[f"OEBPS/text/{name}.xhtml"] = page
    return zipped(members | (more or {}))
