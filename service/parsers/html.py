"""HTML: the main text through trafilatura, all visible text where that finds nothing."""

import re
from collections.abc import Iterator

import trafilatura
from lxml import etree
from lxml import html as lxml_html
from trafilatura.settings import use_config

from service.errors import DocumentFailed
from service.parsers.parsed import DAMAGED, Parsed, Raw

_FEWEST_CHARACTERS = 10
_DECLARED_ENCODING = re.compile(r"^\s*<\?xml[^>]*\?>")  # lxml refuses it in text that is decoded already
_HIDDEN = {"script", "style", "noscript", "template", "head", "svg", "math", "iframe", "object"}
_INLINE = {
    *("a", "abbr", "b", "bdi", "bdo", "cite", "code", "em", "font", "i", "kbd", "mark", "q", "s", "samp"),
    *("small", "span", "strong", "sub", "sup", "tt", "u", "var"),
}
_INLINE_TAG = re.compile(rf"</?(?:{'|'.join(sorted(_INLINE))})\b[^<>]*>", re.IGNORECASE)
_CONFIG = use_config()
_CONFIG.set("DEFAULT", "MIN_EXTRACTED_SIZE", str(_FEWEST_CHARACTERS))
_CONFIG.set("DEFAULT", "MIN_OUTPUT_SIZE", str(_FEWEST_CHARACTERS))


def parse(raw: Raw) -> Iterator[Parsed]:
    tree = tree_of(raw.text)
    if tree is None:
        yield Parsed("", "", "", {"file_type": "html"})
        return
    everything, title = visible_text(tree), title_of(tree)
    author = "; ".join(tree.xpath("//meta[@name='author']/@content"))
    found = _main_text(tree)
    enough = len(found.strip()) >= _FEWEST_CHARACTERS
    yield Parsed("", title, found if enough else everything, {"file_type": "html", "author": author}, enough)


def _main_text(tree: lxml_html.HtmlElement) -> str:
    """Without navigation and the like, as markdown; "" when nothing is found. Changes the tree."""
    try:
        found = trafilatura.extract(
            tree, favor_recall=True, include_comments=False, include_formatting=True, config=_CONFIG
        )
    except (ValueError, RecursionError):  # characters that XML does not allow; tags nested too deep for it
        return ""
    return found or ""


def tree_of(text: str) -> lxml_html.HtmlElement | None:
    """None when there is nothing in it. No network, no entities but HTML's.

    Raises DocumentFailed(damaged) for what libxml2 cannot read to its end, as what is nested 2048 deep.
    """
    text = _DECLARED_ENCODING.sub("", text)
    tree, why = _parsed(text)
    if why:  # in old pages it is <font> and the like, never closed, that nest: their text does not need them
        tree, why = _parsed(_INLINE_TAG.sub("", text))
    if why:
        raise DocumentFailed(DAMAGED, f"the HTML parser gave up: {why}")
    return tree


def _parsed(text: str) -> tuple[lxml_html.HtmlElement | None, str]:
    """The tree, and why it is not all of it. libxml2 then stops without another word, so ask its log."""
    parser = lxml_html.HTMLParser(no_network=True, huge_tree=True, remove_comments=True, remove_pis=True)
    try:
        tree = lxml_html.document_fromstring(text, parser=parser)
    except etree.ParserError:  # "Document is empty"
        tree = None
    why = "; ".join(error.message for error in parser.error_log.filter_from_fatals())
    if "memory" in why.lower():
        raise MemoryError(why)
    return tree, why


def title_of(tree: lxml_html.HtmlElement) -> str:
    return " ".join(tree.xpath("string((//title)[1])").split())


def visible_text(tree: lxml_html.HtmlElement) -> str:
    """Everything a reader sees, with a blank line around block elements."""
    parts: list[str] = []
    skipped = None
    for event, element in etree.iterwalk(tree, events=("start", "end")):
        tag = element.tag if isinstance(element.tag, str) else ""
        border = "" if tag in _INLINE else "\n" if tag in {"br", "tr", "li", "td"} else "\n\n"
        if event == "start" and skipped is None:
            parts.append(border)
            if tag in _HIDDEN:
                skipped = element
            else:
                parts.append(_flowing(element.text))
        elif event == "end":
            skipped = None if skipped is element else skipped
            if skipped is None:
                parts += (border, _flowing(element.tail))
    return "".join(parts)


def _flowing(text: str | None) -> str:
    return re.sub(r"\s+", " ", text or "")
