"""PDF, page by page, through pdfium."""

from collections.abc import Iterator

from pypdfium2 import PdfDocument, PdfiumError
from pypdfium2.raw import FPDF_ERR_PASSWORD, FPDF_ERR_SECURITY

from service.errors import DocumentFailed, SkipDocument
from service.parsers.parsed import DAMAGED, ENCRYPTED, NO_TEXT, Parsed, Raw
from service.parsers.pdf_form import filled_in
from service.parsers.pdf_text import text_of
from service.parsers.titles import telling


def parse(raw: Raw) -> Iterator[Parsed]:
    try:
        with PdfDocument(raw.data) as document:
            document.init_forms()
            pages = [_text(document, number) for number in range(len(document))]
            title, author = telling(_told(document, "Title")), _told(document, "Author")
    except PdfiumError as error:
        if error.err_code in (FPDF_ERR_PASSWORD, FPDF_ERR_SECURITY):
            raise SkipDocument(ENCRYPTED, "it needs a password") from error
        raise DocumentFailed(DAMAGED, str(error)) from error
    if not pages:
        raise DocumentFailed(DAMAGED, "no page could be found in it")
    without_text = sum(not page.strip() for page in pages)
    if without_text == len(pages):
        raise SkipDocument(NO_TEXT, f"{len(pages)} pages without text, perhaps a scan")
    metadata = {
        "file_type": "pdf",
        "pages": str(len(pages)),
        "pages_without_text": str(without_text),
        "author": author,
    }
    yield Parsed("", title, "\n\n".join(pages), metadata)


def _told(document: PdfDocument, key: str) -> str:
    try:
        return str(document.get_metadata_value(key))
    except UnicodeDecodeError:  # a broken title does not break the document
        return ""


def _text(document: PdfDocument, number: int) -> str:
    """Raises PdfiumError for a page that cannot be loaded: half a document is not the document."""
    page = document[number]
    parts = (text_of(page), filled_in(page))
    page.close()
    return "\n\n".join(part for part in parts if part.strip())
