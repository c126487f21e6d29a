"""Which family a file belongs to: by its content, by its suffix only where the content leaves it open."""

import io
import re
import zipfile

from service.errors import DocumentFailed, SkipDocument
from service.parsers.charset import decode
from service.parsers.json_shape import is_array, is_json, is_object, mostly_records, one_a_line
from service.parsers.parsed import DAMAGED, ENCRYPTED, UNKNOWN_TYPE, Raw

_OLE2 = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_ENCRYPTED_PACKAGE = "EncryptedPackage".encode("utf-16-le")
_ZIP_MAGIC = (b"PK\x03\x04", b"PK\x05\x06")
_ZIP_SUFFIXES = {"docx", "pptx", "xlsx", "epub"}
_OFFICE_PARTS = (("word/document", "docx"), ("ppt/presentation", "pptx"), ("xl/workbook", "xlsx"))
_HTML_START = re.compile(  # atomic: what was taken for a comment is not tried as anything else
    r"\s*(?:<\?xml[^>]*>\s*)?(?>(?:<!--(?>.*?-->)\s*)*)<(?:!doctype\s+html|html|head|body)\b", re.I | re.S
)
_HTML_TAG = re.compile(
    r"<(?:html|head|title|meta|link|style|script|noscript|body|main|section|article|aside|header|footer|nav|address"
    r"|h[1-6]|p|div|span|br|hr|pre|blockquote|ol|ul|li|dl|dt|dd|figure|figcaption|table|tbody|thead|caption|tr|td|th"
    r"|form|fieldset|details|summary|dialog|template|a|b|i|em|strong|code|img|iframe|font|center)(?:/?>|\s[^<]*>)",
    re.I,
)
_SOURCE_OF_HTML = {"html", "htm", "xhtml", "shtml"}
_SOURCE_OF_RECORDS = {"jsonl", "ndjson"}
_TABLES = {"csv", "tsv"}
_BRACKET = re.compile(r"\s*[{\[]")
_RICH_TEXT = "{\\rtf"
_PDF_OBJECT = b"endobj"
_PRINTABLE, _LETTER, _MOSTLY = bytes(range(32, 127)) + b"\t\r\n", re.compile(rb"[A-Za-z]"), 0.7


def sniff(raw: Raw) -> tuple[str, str]:
    """The family's name and, where the file is text, its text; that of jsonl with one record a line.

    Raises SkipDocument (unknown_type, encrypted) and DocumentFailed (damaged).
    """
    data = raw.data
    if _is_pdf(raw):
        return "pdf", ""
    if data.startswith(_ZIP_MAGIC):
        return _zipped(raw), ""
    if data.startswith(_OLE2):
        kind = ENCRYPTED if _ENCRYPTED_PACKAGE in data else UNKNOWN_TYPE
        raise SkipDocument(kind, "an encrypted or a pre-2007 office file")
    text = decode(data)
    if text is None:
        if raw.suffix in {"pdf", *_ZIP_SUFFIXES}:
            raise DocumentFailed(DAMAGED, f"the file does not begin as a {raw.suffix} file does")
        raise SkipDocument(UNKNOWN_TYPE, "binary data")
    return _of_text(text, raw.suffix)


def _zipped(raw: Raw) -> str:
    try:
        with zipfile.ZipFile(io.BytesIO(raw.data)) as archive:
            names = set(archive.namelist())
            if any(info.flag_bits & 1 for info in archive.infolist()):
                raise SkipDocument(ENCRYPTED, "a zip archive with a password")
    except (zipfile.BadZipFile, NotImplementedError, ValueError, OSError) as error:
        if raw.suffix in _ZIP_SUFFIXES or b"[Content_Types].xml" in raw.data[:200]:
            raise DocumentFailed(DAMAGED, str(error)) from error
        raise SkipDocument(UNKNOWN_TYPE, "a broken zip archive") from error
    if "META-INF/container.xml" in names:
        return "epub"
    for part, family in _OFFICE_PARTS:
        if any(name.startswith(part) for name in names):
            return family
    if raw.suffix in _ZIP_SUFFIXES:
        raise DocumentFailed(DAMAGED, f"a zip archive without the parts of a {raw.suffix} file")
    raise SkipDocument(UNKNOWN_TYPE, "a zip archive")


def _of_text(text: str, suffix: str) -> tuple[str, str]:
    if text.startswith(_RICH_TEXT):
        raise SkipDocument(UNKNOWN_TYPE, "an RTF document, which is not read")
    if _HTML_START.match(text) or (suffix in _SOURCE_OF_HTML and _HTML_TAG.search(text)):
        return "html", text
    if suffix in _SOURCE_OF_RECORDS:
        return _of_records(text)
    if _BRACKET.match(text):
        return _of_json(text, suffix)
    return "csv" if suffix in _TABLES else "text", text


def _of_records(text: str) -> tuple[str, str]:
    if is_array(text):
        return "json", text
    if mostly_records(text):
        return "jsonl", text
    rows = one_a_line(text)
    return ("jsonl", rows) if rows else ("text", text)


def _of_json(text: str, suffix: str) -> tuple[str, str]:
    lines = text.lstrip().split("\n", 2)
    if len(lines) > 1 and is_object(lines[0]) and is_object(lines[1]):
        return "jsonl", text
    if is_json(text):
        return "json", text
    if "\n" in (rows := one_a_line(text)):
        return "jsonl", rows
    return "csv" if suffix in _TABLES else "text", text


def _is_pdf(raw: Raw) -> bool:
    """By its mark at the beginning. Behind readable words, as in a text about PDF, the mark alone proves nothing."""
    before, mark, _ = raw.data[:1024].partition(b"%PDF-")
    if not mark:
        return False
    return (
        raw.suffix == "pdf" or not _readable(before) or (_PDF_OBJECT in raw.data and decode(raw.data) is None)
    )


def _readable(data: bytes) -> bool:
    printable = len(data) - len(data.translate(None, _PRINTABLE))
    return bool(_LETTER.search(data)) and printable > _MOSTLY * len(data)
