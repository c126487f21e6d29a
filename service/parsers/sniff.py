"""Which family a file belongs to: by its content, by its suffix only where the content leaves it open."""

import io
import json
import re
import zipfile

from service.errors import DocumentFailed, SkipDocument
from service.parsers.charset import decode
from service.parsers.parsed import DAMAGED, ENCRYPTED, UNKNOWN_TYPE, Raw

_OLE2 = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_ENCRYPTED_PACKAGE = "EncryptedPackage".encode("utf-16-le")
_ZIP_MAGIC = (b"PK\x03\x04", b"PK\x05\x06")
_ZIP_SUFFIXES = {"docx", "pptx", "xlsx", "epub"}
_OFFICE_PARTS = (("word/document", "docx"), ("ppt/presentation", "pptx"), ("xl/workbook", "xlsx"))
_HTML_START = re.compile(
    r"\s*(?:<\?xml[^>]*>\s*)?(?:<!--.*?-->\s*)*<(?:!doctype\s+html|html|head|body)\b", re.I | re.S
)
_HTML_TAG = re.compile(r"<(?:html|head|body|title|p|div|h[1-6]|br|a|table|ul|span)\b[^>]*>", re.I)
_SOURCE_OF_HTML = {"html", "htm", "xhtml", "shtml"}
_START = 4096  # characters


def sniff(raw: Raw) -> tuple[str, str]:
    """The family's name and, where the file is text, its text.

    Raises SkipDocument (unknown_type, encrypted) and DocumentFailed (damaged).
    """
    data = raw.data
    if b"%PDF-" in data[:1024]:
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
    return _of_text(text, raw.suffix), text


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


def _of_text(text: str, suffix: str) -> str:
    start = text[:_START]
    if _HTML_START.match(start) or (suffix in _SOURCE_OF_HTML and _HTML_TAG.search(start)):
        return "html"
    if suffix in {"jsonl", "ndjson"}:
        return "jsonl"
    if start.lstrip()[:1] in ("{", "["):
        return _of_json(text, suffix)
    return "csv" if suffix in {"csv", "tsv"} else "text"


def _of_json(text: str, suffix: str) -> str:
    lines = text.lstrip().split("\n", 2)
    if len(lines) > 1 and _is_object(lines[0]) and _is_object(lines[1]):
        return "jsonl"
    if suffix == "json" or _is_json(text):
        return "json"
    return "csv" if suffix in {"csv", "tsv"} else "text"


def _is_object(line: str) -> bool:
    return line.lstrip().startswith("{") and _is_json(line)


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True
