"""Bytes to text: which encoding, if they are text at all."""

import codecs
import re

_SAMPLE_BYTES = 65_536
_MOST_CONTROLS = 0.02  # of the sample; text has next to none
_CONTROLS = bytes({*range(32), 127} - set(b"\t\n\v\f\r\x1b\x1a"))
_HOLE = re.compile(rb"\0{32,}")  # what a power failure leaves in a log; cleaning takes it out
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
            return data.decode(encoding, "replace")
    if wide := _utf16_without_mark(data):
        return data.decode(wide, "replace")
    if _looks_binary(data):
        return None
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return _nearly_utf8(data) or _by_statistics(data)


def _looks_binary(data: bytes) -> bool:
    sample = _HOLE.sub(b"", data[:_SAMPLE_BYTES] + data[_SAMPLE_BYTES:][-_SAMPLE_BYTES:])
    controls = len(sample) - len(sample.translate(None, _CONTROLS))
    return controls > _MOST_CONTROLS * len(sample)


def _utf16_without_mark(data: bytes) -> str:
    """Latin text in UTF-16 has a NUL in nearly every second byte, always on the same side."""
    sample = data[: _SAMPLE_BYTES & ~1]
    even, odd, pairs = sample[::2].count(0), sample[1::2].count(0), len(sample) // 2
    if pairs < 4 or len(data) % 2:
        return ""
    if odd > 0.7 * pairs and even == 0:
        return "utf-16-le"
    return "utf-16-be" if even > 0.7 * pairs and odd == 0 else ""


def _nearly_utf8(data: bytes) -> str:
    """UTF-8 with a few bytes broken: far more good multi-byte characters than bad bytes."""
    text = data.decode("utf-8", "replace")
    bad = text.count("\ufffd")
    good = sum(not character.isascii() for character in text) - bad
    return text if good > 10 * bad else ""


def _by_statistics(data: bytes) -> str | None:
    from charset_normalizer import from_bytes  # only old encodings need it, and it is not small

    best = from_bytes(data[:_SAMPLE_BYTES]).best()
    return None if best is None else data.decode(best.encoding, "replace")
