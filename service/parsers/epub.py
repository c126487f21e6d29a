"""EPUB: the chapters in the order of the spine."""

import posixpath
import zipfile
from collections.abc import Iterator
from urllib.parse import unquote

from lxml import etree

from service.errors import DocumentFailed, SkipDocument
from service.parsers.archive import damage_named, open_archive
from service.parsers.charset import decode
from service.parsers.html import tree_of, visible_text
from service.parsers.parsed import DAMAGED, ENCRYPTED, NO_TEXT, OUT_OF_MEMORY, Parsed, Raw

_CONTAINER = "META-INF/container.xml"
_ENCRYPTION = "META-INF/encryption.xml"
_HTML_TYPES = ("application/xhtml+xml", "text/html")
_HTML_SUFFIXES = (".xhtml", ".html", ".htm")


def parse(raw: Raw) -> Iterator[Parsed]:
    """Chapters that cannot be read are left out and counted in the metadata, as long as others have text."""
    with damage_named(), open_archive(raw.data) as archive:
        package, folder = _package(archive)
        names = list(_chapter_names(package, folder))
        _refuse_locked(archive, names)
        chapters = [_chapter(archive, name) for name in names]
    text = "\n\n".join(chapter for chapter in chapters if chapter)
    unread = chapters.count(None)
    if not text.strip():
        if unread:
            raise DocumentFailed(
                DAMAGED, f"{unread} of {len(chapters)} chapters cannot be read, no other has text"
            )
        raise SkipDocument(NO_TEXT, f"{len(chapters)} chapters without text")
    metadata = {"file_type": "epub", "author": _dublin_core(package, "creator")}
    if unread:
        metadata["unread_chapters"] = str(unread)
    yield Parsed("", _dublin_core(package, "title"), text, metadata, keep_indentation=True)


def _xml(archive: zipfile.ZipFile, name: str) -> etree._Element:
    parser = etree.XMLParser(resolve_entities=False, no_network=True, huge_tree=False)
    return etree.fromstring(archive.read(name), parser)


def _package(archive: zipfile.ZipFile) -> tuple[etree._Element, str]:
    path = str(_xml(archive, _CONTAINER).xpath("string(//*[local-name()='rootfile']/@full-path)"))
    return _xml(archive, path), posixpath.dirname(path)


def _chapter_names(package: etree._Element, folder: str) -> Iterator[str]:
    """In the order of the spine; in the manifest's where the spine names nothing that is there."""
    items = {item.get("id"): item for item in package.xpath("//*[local-name()='manifest']/*[@href]")}
    spine = package.xpath("//*[local-name()='spine']/*/@idref")
    for item in [items[id] for id in spine if id in items] or items.values():
        path = unquote(item.get("href"))
        if item.get("media-type") in _HTML_TYPES or path.lower().endswith(_HTML_SUFFIXES):
            yield posixpath.normpath(posixpath.join(folder, path))


def _refuse_locked(archive: zipfile.ZipFile, names: list[str]) -> None:
    """Fonts may be scrambled; a chapter that is means copy protection."""
    if _ENCRYPTION in archive.namelist():
        locked = _xml(archive, _ENCRYPTION).xpath("//*[local-name()='CipherReference']/@URI")
        if set(names) & {unquote(name) for name in locked}:
            raise SkipDocument(ENCRYPTED, "its chapters are copy-protected")


def _chapter(archive: zipfile.ZipFile, name: str) -> str | None:
    """Its text, or None where it is missing or damaged."""
    try:
        with damage_named():
            text = decode(archive.read(name))
            tree = None if text is None else tree_of(text)
    except DocumentFailed as error:
        if error.reason == OUT_OF_MEMORY:  # the whole document's fault, and it may do better another time
            raise
        return None
    if text is None:
        return None
    return "" if tree is None else visible_text(tree)


def _dublin_core(package: etree._Element, name: str) -> str:
    return "; ".join(package.xpath(f"//*[local-name()='metadata']/*[local-name()='{name}']/text()"))
