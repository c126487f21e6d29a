"""Office files made by their libraries, with parts of them rewritten by hand."""

import io
import zipfile
from collections.abc import Mapping

from service.parsers.parsed import Parsed
from tests.contracts.parser import parse
from tests.parsers import makers

OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006"
W = 'xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"'


def one(name: str, data: bytes) -> Parsed:
    (found,) = parse(name, data)
    assert isinstance(found, Parsed)
    return found


def members(data: bytes) -> dict[str, str | bytes]:
    with zipfile.ZipFile(io.BytesIO(data)) as whole:
        return {name: whole.read(name) for name in whole.namelist()}


def retyped(data: bytes, was: bytes, becomes: bytes) -> bytes:
    """The same package under another content type, as its macro or template form has."""
    found = members(data)
    types = found["[Content_Types].xml"]
    assert isinstance(types, bytes)
    assert was in types
    return makers.zipped(found | {"[Content_Types].xml": types.replace(was, becomes)})


def broken_properties(data: bytes) -> bytes:
    return makers.zipped(members(data) | {"docProps/core.xml": "<broken"})


def related(data: bytes, part: str, kind: str, content: str) -> bytes:
    """With one more part, /more.xml, that the given one needs under the id "more"."""
    found = members(data)
    folder, _, name = part.rpartition("/")
    rels = found[f"{folder}/_rels/{name}.rels"]
    assert isinstance(rels, bytes)
    one_more = f'<Relationship Id="more" Type="{OFFICE}/relationships/{kind}" Target="/more.xml"/>'
    rels = rels.replace(b"</Relationships>", f"{one_more}</Relationships>".encode())
    return makers.zipped(found | {f"{folder}/_rels/{name}.rels": rels, "more.xml": content})


def word_xml(body: str, beside: Mapping[str, str] | None = None) -> bytes:
    """A docx whose body is this XML; `beside` are the words of further parts, "header1" say, by their name."""
    spaces = 'xmlns:mc="m" xmlns:v="v" xmlns:m="math"'
    found = members(makers.word([]))
    found["word/document.xml"] = f"<w:document {W} {spaces}><w:body>{body}</w:body></w:document>"
    related = ""
    for name, words in (beside or {}).items():
        kind = name.rstrip("0123456789")
        found[f"word/{name}.xml"] = f"<w:{kind} {W}><w:item>{p(words)}</w:item></w:{kind}>"
        related += (
            f'<Relationship Id="{name}" Type="{OFFICE}/relationships/{kind}" Target="/word/{name}.xml"/>'
        )
    whole = found["word/_rels/document.xml.rels"]
    assert isinstance(whole, bytes)
    found["word/_rels/document.xml.rels"] = whole.replace(
        b"</Relationships>", f"{related}</Relationships>".encode()
    )
    return makers.zipped(found)


def p(words: str) -> str:
    """A paragraph."""
    return f"<w:p>{r(words)}</w:p>"


def r(words: str) -> str:
    """A run."""
    return f"<w:r><w:t>{words}</w:t></w:r>"


def tc(content: str, properties: str = "") -> str:
    """A cell."""
    return f"<w:tc><w:tcPr>{properties}</w:tcPr>{content}</w:tc>"
