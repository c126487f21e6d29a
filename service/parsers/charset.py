"""Bytes to text: which encoding, if they are text at all."""

import codecs
import re

from service.parsers.codepage import guess, telling
from service.parsers.wide import as_wide, reads_as_text

_SAMPLE_BYTES = 65_536
_MOST_CONTROLS = 0.02  # of the sample; text has next to none
_MOST_NULS = 0.7  # of a text that is ASCII or UTF-8 otherwise
_CONTROLS = bytes({*range(32), 127} - set(b"\t\n\v\f\r\x1b\x1a"))
_HOLE = re.compile(rb"\0{32,}")  # what a power failure leaves in a log
_GOOD_FOR_ONE_BAD = 2  # multi-byte characters, in UTF-8 with damage
_NULS = re.compile("\0+")
_JAPANESE_SHIFT = re.compile(
    rb"\x1b\$(?:[@B]|\([CD])"
)  # ISO-2022: seven bits, and escapes that no other text has
_LATIN = re.compile("[\x80-\u024f\u2000-\u20cf]")
_BOMS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),  # before UTF-16, whose mark is its beginning
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


def decode(data: bytes) -> str | None:
    """The text, or None for binary data. Bytes that are wrong in an otherwise sure encoding become U+FFFD."""
    for mark, encoding in _BOMS:
        if data.startswith(mark):
            marked = data.decode(encoding, "replace")
            return marked if encoding == "utf-8-sig" or reads_as_text(marked) else None
    if (text := as_wide(data)) is not None:
        return text
    if _looks_binary(data):
        return _padded(data)
    if _JAPANESE_SHIFT.search(data) and (japanese := _strictly(data, "iso2022_jp_ext")):
        return japanese
    text = _strictly(data, "utf-8")
    if text is None:
        return _nearly_utf8(data) or _by_statistics(data)
    return _NULS.sub(" ", text)  # else cleaning, which takes them out, would join what they part


def _strictly(data: bytes, encoding: str) -> str | None:
    try:
        return data.decode(encoding)
    except UnicodeDecodeError:
        return None


def _looks_binary(data: bytes) -> bool:
    sample = _HOLE.sub(b"", _both_ends(data))
    controls = len(sample) - len(sample.translate(None, _CONTROLS))
    return controls > _MOST_CONTROLS * len(sample)


def _both_ends(data: bytes) -> bytes:
    return data[:_SAMPLE_BYTES] + data[_SAMPLE_BYTES:][-_SAMPLE_BYTES:]


def _padded(data: bytes) -> str | None:
    """Text whose fields are filled up or parted with NULs: without them there is nothing wrong with it."""
    sample = _both_ends(data)
    rest = sample.replace(b"\0", b"")
    if len(rest) != len(rest.translate(None, _CONTROLS)) or len(rest) < (1 - _MOST_NULS) * len(sample):
        return None
    text = _strictly(data, "utf-8")
    return None if text is None else _NULS.sub(" ", text)


def _nearly_utf8(data: bytes) -> str:
    """UTF-8 with a few bytes broken or its end cut off: good multi-byte characters outnumber bad bytes.

    Latin letters and punctuation count twice: in another encoding they would be an accented capital
    or "â" with a sign behind it, which no text has by chance.
    """
    text = data.decode("utf-8", "replace")
    bad = text.count("\ufffd")
    good = len(text) - len(text.encode("ascii", "ignore")) - bad
    latin = len(_LATIN.findall(text))
    return text if good + latin >= _GOOD_FOR_ONE_BAD * bad else ""


def _by_statistics(data: bytes) -> str | None:
    if found := guess(data):
        return data.decode(found, "replace")
    from charset_normalizer import from_bytes  # only what is rare needs it, and it is not small

    best = from_bytes(telling(data)).best()
    return None if best is None else data.decode(best.encoding, "replace")
