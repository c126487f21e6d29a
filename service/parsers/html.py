"""HTML: the main text through trafilatura where that leaves next to nothing out, else all visible text."""

import re
from collections import Counter
from collections.abc import Collection, Iterator

import trafilatura
from lxml import etree
from lxml import html as lxml_html
from trafilatura.settings import use_config

from service.errors import DocumentFailed
from service.parsers.parsed import DAMAGED, Parsed, Raw

_FEWEST_CHARACTERS = 10
# Tried on 495 pages of real manuals (mdBook, rustdoc, DocBook, texinfo) and on small pages of other kinds: at 90 %
# trafilatura had lost tables, code and notes, at 95 % still a part of them. No share shows lost headings in a long
# page (one manual kept 98 % without any of its own), so they are asked for one by one. A menu kept is the lesser harm.
_ENOUGH = 0.98
_MOST_CHARACTERS = 5_000_000  # a menu is nothing beside so much text, and trafilatura takes long over it
_DECLARED_ENCODING = re.compile(r"^\s*<\?xml[^>]*\?>")  # lxml refuses it in text that is decoded already
_HIDDEN = {"script", "style", "noscript", "template", "head", "svg", "math", "iframe", "object"}
_PREFORMATTED = {"pre", "textarea", "listing", "xmp", "plaintext"}
_LINES = {"tr", "li", "dt", "dd", "option", "caption"}
_INLINE = {
    *("a", "abbr", "acronym", "b", "bdi", "bdo", "big", "button", "cite", "code", "data", "del", "dfn", "em"),
    *("font", "i", "img", "input", "ins", "kbd", "label", "mark", "nobr", "picture", "q", "rp", "rt", "ruby"),
    *("s", "samp", "small", "span", "strike", "strong", "sub", "sup", "time", "tt", "u", "var", "wbr"),
}
_INLINE_TAG = re.compile(rf"</?(?:{'|'.join(sorted(_INLINE))})\b[^<>]*>", re.IGNORECASE)
_CELL = "\x1f"  # never in a page's own text: libxml2 replaces control characters
_TRAILING_CELLS = re.compile(f"(?<![ {_CELL}])[ {_CELL}]+(?=\n)")
_BETWEEN_CELLS = re.compile(f"(?<! ) *{_CELL} *")
# The page's own navigation and footer; those of an article belong to its text.
_FRAME = etree.XPath(
    "//*[self::nav or self::footer][not(ancestor::main or ancestor::article or ancestor::section)]"
)
_HEADINGS = etree.XPath("//h1|//h2|//h3|//h4|//h5|//h6|//summary|//legend|//caption|//figcaption")
_WORD = re.compile(r"[^\W_]+")  # an underscore may be markdown
_CONFIG = use_config()
_CONFIG.set("DEFAULT", "MIN_EXTRACTED_SIZE", str(_FEWEST_CHARACTERS))
_CONFIG.set("DEFAULT", "MIN_OUTPUT_SIZE", str(_FEWEST_CHARACTERS))


def parse(raw: Raw) -> Iterator[Parsed]:
    tree = tree_of(raw.text)
    if tree is None:
        yield Parsed("", "", "", {"file_type": "html"})
        return
    title, seen = title_of(tree), _seen(tree)
    author = "; ".join(tree.xpath("//meta[@name='author']/@content"))
    headings = {_words("".join(heading.itertext())) for heading in _HEADINGS(tree)}
    found = _main_text(tree) if len(seen) <= _MOST_CHARACTERS else ""
    text = found if _is_enough(found, seen, headings) else seen
    yield Parsed("", title, text, {"file_type": "html", "author": author}, keep_indentation=True)


def _seen(tree: lxml_html.HtmlElement) -> str:
    """What is visible, without the frame around it unless there is nothing else."""
    inside = visible_text(tree, set(_FRAME(tree)))
    return inside if len(inside.strip()) >= _FEWEST_CHARACTERS else visible_text(tree)


def _is_enough(found: str, seen: str, headings: set[str]) -> bool:
    """Whether `found` has nearly all the words of `seen`, each as often, and those `headings` that are in it."""
    all_words, words = (Counter(word[0] for word in _WORD.finditer(text)) for text in (seen, found))
    if (all_words & words).total() < _ENOUGH * all_words.total():
        return False
    all_lines, lines = ({_words(line) for line in text.splitlines()} for text in (seen, found))
    return headings & all_lines <= lines


def _words(text: str) -> str:
    return " ".join(_WORD.findall(text))


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
    except etree.XMLSyntaxError as error:  # with `recover`, as here, only where memory ran out
        raise MemoryError(str(error)) from error
    why = "; ".join(error.message for error in parser.error_log.filter_from_fatals())
    return tree, why


def title_of(tree: lxml_html.HtmlElement) -> str:
    return " ".join(tree.xpath("string((//title)[1])").split())


def visible_text(tree: lxml_html.HtmlElement, without: Collection[etree._Element] = ()) -> str:
    """Everything a reader sees, but for the elements `without`: block elements, list items and rows on lines
    of their own, " | " between cells, preformatted text as it is."""
    page, preformatted = _Page(), 0
    walk = etree.iterwalk(tree, events=("start", "end"))
    for event, element in walk:
        starts = event == "start"
        page.border(element, starts)
        if element.tag in _PREFORMATTED:
            preformatted += 1 if starts else -1
        if starts and (element.tag in _HIDDEN or element in without):
            walk.skip_subtree()
            continue
        text = (element.text if starts else element.tail) or ""
        page.put(text) if preformatted else page.flow(text)
    return page.text()


class _Page:
    """Text as a browser lays it out: white space is one space, and no line begins with it."""

    def __init__(self) -> None:
        self._parts = ["\n"]

    def border(self, element: etree._Element, starts: bool) -> None:
        tag = element.tag
        if tag in _INLINE:
            return
        if tag in _LINES:
            self.put("" if self._ends_in("\n") else "\n")
        elif tag in ("td", "th"):
            self.put(_CELL if starts and element.getprevious() is not None else "")
        elif tag == "br":
            self.put("\n" if starts else "")
        else:
            self.put("" if self._ends_in("\n\n") else "\n\n")

    def flow(self, text: str) -> None:
        text = re.sub(r"\s+", " ", text)
        self.put(text.lstrip() if self._ends_in(("\n", " ", _CELL)) else text)

    def put(self, text: str) -> None:
        if text:
            self._parts.append(text)

    def text(self) -> str:
        return _BETWEEN_CELLS.sub(" | ", _TRAILING_CELLS.sub("", "".join(self._parts)))

    def _ends_in(self, end: str | tuple[str, ...]) -> bool:
        return self._parts[-1].endswith(end)
