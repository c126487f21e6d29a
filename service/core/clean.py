"""Cleaning makes one text out of what a parser found: the same words always give the same characters."""

import re
import unicodedata

CLEANER_VERSION = 2
SHORTEST_TEXT = 10  # characters; anything shorter is skipped as "too_short"

_LINE_ENDS = re.compile("\r\n|[\r\x0b\x0c\x1c\x1d\x1e\x85\u2028]")
_SOFT_HYPHEN = re.compile("\u00ad(?:[ \t]*\n[ \t]*)?")
# What pdfium writes for any hyphen at a line's end, whose end it may leave out.
_PDF_HYPHEN = re.compile("[\ufffe\x02]([ \t]*\n[ \t]*)?")
_LONGEST_WORD = 40
_WORDS = re.compile(r"\w+(?:-\w+)*")
_LAST_WORD, _FIRST_WORD = re.compile(r"[\w-]*\Z"), re.compile(r"[\w-]*")
# English writes these with a hyphen before most words; others there are mostly syllables.
_COMPOUNDING = {"half", "high", "long", "low", "self", "short", "well"}
_FOLDED = re.compile(
    "[\ufb00-\ufb06\uff01-\uff5e]"
)  # ligatures and full-width ASCII, which models do not know
# Control characters, byte order marks, zero-width spaces, bidirectional and tag characters (which hide text
# from the reader but not from a model), non-characters. ZWJ and ZWNJ stay: scripts and emoji need them.
_INVISIBLE = re.compile(
    "[\x00-\x08\x0e-\x1f\x7f-\x9f\u061c\u180e\u200b\u200e\u200f\u202a-\u202e\u2060-\u2064\u2066-\u206f"
    "\ufdd0-\ufdef\ufeff\uffff\U000e0000-\U000e007f]"
)
_SURROGATE = re.compile("[\ud800-\udfff]")  # left over from undecodable file names and JSON escapes
_STACKED = re.compile(r"[^\w\s\0-\x7f]{33,}")  # may be marks on one letter
_MOST_MARKS = 30  # on one letter, as in Unicode's Stream-Safe Text; NFC takes quadratic time to order them
_SPACE = re.compile("[\u00a0\u1680\u2000-\u200a\u202f\u205f\u3000]")
_SPACES = re.compile("[ \t]{2,}|\t")
_AROUND_LINE_END = re.compile("[ \t]*\n[ \t]*")
_BLANK_LINES = re.compile("\n{3,}")
_LOWER = "[a-zß-öø-ÿ]"
_BROKEN_WORD = re.compile(rf"(?<![\w-])({_LOWER}{{2,}})-\n({_LOWER}{{2,}})(?![\w-])")
_WHOLE_WORD = re.compile(rf"(?<![\w-]){_LOWER}{{4,}}(?![\w-])")


def clean(text: str, keep_indentation: bool = False) -> str:
    """NFC text with "\\n" line ends, nothing invisible, no runs of blank lines.

    With `keep_indentation` (source code, markup) spaces inside and at the start of lines stay as they are;
    otherwise runs of them become one. Idempotent.
    """
    text = _LINE_ENDS.sub("\n", text).replace("\u2029", "\n\n")
    text = _without_pdf_hyphens(_SOFT_HYPHEN.sub("", text))
    text = _SURROGATE.sub("\ufffd", _INVISIBLE.sub("", text))
    text = _FOLDED.sub(lambda found: unicodedata.normalize("NFKC", found[0]), text)
    text = unicodedata.normalize("NFC", _STACKED.sub(_unstacked, text))
    text = _trim_code(text) if keep_indentation else _trim_prose(text)
    return _BLANK_LINES.sub("\n\n", text)


def clean_line(text: str) -> str:
    """A title or a metadata value: cleaned, on one line."""
    return " ".join(clean(text).split())


def _without_pdf_hyphens(text: str) -> str:
    """A hyphen goes where it parts a word and stays where it belongs to one, as far as that can be told.

    What the text itself shows elsewhere decides; then a part that begins with anything but a small letter, has
    a hyphen of its own, or follows one of `_COMPOUNDING` keeps it: a hyphen too many reads as the page does, one
    too few makes a word that nobody looks for.
    """
    if not _PDF_HYPHEN.search(text):
        return text
    words = set(_WORDS.findall(text))

    def instead(found: re.Match[str]) -> str:
        before = _LAST_WORD.search(text, max(0, found.start() - _LONGEST_WORD), found.start())
        after = _FIRST_WORD.match(text, found.end(), found.end() + _LONGEST_WORD)
        first, second = before[0] if before else "", after[0] if after else ""
        if not first or not second:
            return found[1] or ""  # a stray control character
        if first + second in words:
            return ""
        stays = f"{first}-{second}" in words or not second[:1].islower() or "-" in first + second
        return "-" + (found[1] or "") if stays or first.lower() in _COMPOUNDING else ""

    return _PDF_HYPHEN.sub(instead, text)


def _unstacked(run: re.Match[str]) -> str:
    kept, marks = list[str](), 0
    for character in run[0]:
        marks = marks + 1 if unicodedata.combining(character) else 0
        if marks <= _MOST_MARKS:
            kept.append(character)
    return "".join(kept)


def _trim_code(text: str) -> str:
    # Line by line: a pattern for blanks before a line's end takes quadratic time where a long run has none.
    return "\n".join(line.rstrip(" \t") for line in text.split("\n")).lstrip("\n").rstrip()


def _trim_prose(text: str) -> str:
    text = _SPACES.sub(" ", _SPACE.sub(" ", text))
    return _join_broken_words(_AROUND_LINE_END.sub("\n", text).strip())


def _join_broken_words(text: str) -> str:
    """Undo hyphenation at a line's end where the text itself shows the word unbroken elsewhere.

    "well-\\nknown" therefore stays. Joining never makes a word that was not there, which keeps this
    idempotent.
    """
    if not _BROKEN_WORD.search(text):
        return text
    words = set(_WHOLE_WORD.findall(text))
    return _BROKEN_WORD.sub(lambda m: m[1] + m[2] if m[1] + m[2] in words else m[0], text)
