"""Open Packaging Conventions: the XML parts of an Office file, and how they point to each other.

Names are compared without their namespaces, since the strict and the usual form of the formats differ in those.
"""

import posixpath
import zipfile
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from lxml import etree

from service.parsers.archive import DAMAGE
from service.parsers.titles import telling


@dataclass(frozen=True, slots=True)
class Relation:
    """That one part needs another; `kind` is the last word of its type, "header" say."""

    id: str
    kind: str
    part: str


def xml(archive: zipfile.ZipFile, part: str) -> Any:
    """The part's root. Depth (256) and the length of one text (10 MB) are bounded by libxml2."""
    parser = etree.XMLParser(
        resolve_entities=False, no_network=True, huge_tree=False, remove_comments=True, remove_pis=True
    )
    return etree.fromstring(archive.read(part), parser)


def relations(archive: zipfile.ZipFile, part: str = "") -> list[Relation]:
    """What a part needs, or with "" what the package consists of."""
    folder, name = posixpath.split(part)
    told = posixpath.join(folder, "_rels", f"{name}.rels")
    if told not in archive.NameToInfo:
        return []
    return [
        Relation(
            each.get("Id", ""), each.get("Type", "").rpartition("/")[2], _path(folder, each.get("Target"))
        )
        for each in xml(archive, told)
        if each.get("TargetMode") != "External"
    ]


def parts(archive: zipfile.ZipFile, part: str, *kinds: str) -> list[str]:
    """The parts of these kinds which a part needs, kind by kind."""
    found = relations(archive, part)
    return [each.part for kind in kinds for each in found if each.kind == kind]


def main_part(archive: zipfile.ZipFile) -> str:
    """The document itself; its content type is not asked, since macros, templates and shows have their own."""
    return parts(archive, "", "officeDocument")[0]


def title_and_author(archive: zipfile.ZipFile) -> tuple[str, str]:
    with suppress(*DAMAGE):  # a broken title does not break the document
        (part,) = parts(archive, "", "core-properties")
        told = {local_name(each): each.text or "" for each in xml(archive, part)}
        return telling(told.get("title", "")), told.get("creator", "")
    return "", ""


def local_name(element: Any) -> str:
    """Without its namespace; "" for what is no element, an entity say."""
    return element.tag.rpartition("}")[2] if isinstance(element.tag, str) else ""


def attribute(element: Any, name: str) -> str:
    """By its local name; "" where it, or the element, is not there."""
    if element is None:
        return ""
    return next((str(value) for key, value in element.items() if key.rpartition("}")[2] == name), "")


def reference(element: Any, name: str = "id") -> str:
    """The id of a relation, which stands in an attribute of another namespace than the element's own `id`."""
    return next((str(value) for key, value in element.items() if key.endswith("}" + name)), "")


def child(element: Any, *path: str) -> Any:
    """The element down this path, or None."""
    for name in path:
        element = next((each for each in element if local_name(each) == name), None)
        if element is None:
            return None
    return element


def row(cells: Iterable[str]) -> str:
    """One line of a table."""
    return " | ".join(" ".join(cell.split()) for cell in cells)


def texts(element: Any, name: str = "t") -> Iterator[str]:
    """The text of every element below of this name."""
    return (each.text or "" for each in element.iter("{*}" + name))


def visible(element: Iterable[Any]) -> Iterator[tuple[str, Any]]:
    """Children with their names. Of alternatives only one is shown: a text box is told in the old way too."""
    for each in element:
        name = local_name(each)
        if name == "AlternateContent":
            yield from visible(next((branch for branch in each if any(texts(branch))), each[:1]))
        else:
            yield name, each


def _path(folder: str, target: str) -> str:
    return posixpath.normpath(posixpath.join("/", folder, target)).lstrip("/")
