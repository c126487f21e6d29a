"""EPUB: the chapters in the order of the spine."""

import posixpath
import zipfile
from collections.abc import Iterator
from urllib.parse import unquote

from lxml import etree

from service.errors import SkipDocument
from service.parsers.archive import damage_named, open_archive
from service.parsers.charset import decode
from service.parsers.html import tree_of, visible_text
from service.parsers.parsed import ENCRYPTED, NO_TEXT, Parsed, Raw

_CONTAINER = "META-INF/container.xml"
_ENCRYPTION = "META-INF/encryption.xml"
_HTML_TYPES = ("application/xhtml+xml", "text/html")


def parse(raw: Raw) -> Iterator[Parsed]:
    with damage_named(), open_archive(raw.data) as archive:
        package, folder = _package(archive)
        names = list(_spine(package, folder))
        _refuse_locked(archive, names)
        chapters = [_chapter(archive, name) for name in names]
    if not any(chapter.strip() for chapter in chapters):
        raise SkipDocument(NO_TEXT, f"{len(chapters)} chapters without text")
    metadata = {"file_type": "epub", "author": _dublin_core(package, "creator")}
    yield Parsed("", _dublin_core(package, "title"), "\n\n".join(chapters), metadata)


def _xml(archive: zipfile.ZipFile, name: str) -> etree._Element:
    parser = etree.XMLParser(resolve_entities=False, no_network=True, huge_tree=False)
    return etree.fromstring(archive.read(name), parser)


def _package(archive: zipfile.ZipFile) -> tuple[etree._Element, str]:
    path = str(_xml(archive, _CONTAINER).xpath("string(//*[local-name()='rootfile']/@full-path)"))
    return _xml(archive, path), posixpath.dirname(path)


def _spine(package: etree._Element, folder: str) -> Iterator[str]:
    items = {item.get("id"): item for item in package.xpath("//*[local-name()='manifest']/*")}
    for reference in package.xpath("//*[local-name()='spine']/*/@idref"):
        item = items[reference]
        if item.get("media-type") in _HTML_TYPES:
            yield posixpath.normpath(posixpath.join(folder, unquote(item.get("href"))))


def _refuse_locked(archive: zipfile.ZipFile, names: list[str]) -> None:
    """Fonts may be scrambled; a chapter that is means copy protection."""
    if _ENCRYPTION in archive.namelist():
        locked = _xml(archive, _ENCRYPTION).xpath("//*[local-name()='CipherReference']/@URI")
        if set(names) & {unquote(name) for name in locked}:
            raise SkipDocument(ENCRYPTED, "its chapters are copy-protected")


def _chapter(archive: zipfile.ZipFile, name: str) -> str:
    tree = tree_of(decode(archive.read(name)) or "")
    return "" if tree is None else visible_text(tree)


def _dublin_core(package: etree._Element, name: str) -> str:
    return "; ".join(package.xpath(f"//*[local-name()='metadata']/*[local-name()='{name}']/text()"))
