"""UTF-16 and UTF-32: whether bytes are such text, with or without the mark that should say so."""

import re
import unicodedata
from collections import Counter

_SAMPLE_BYTES = 16_384
_MOST_ODD = 0.03  # of random 16-bit numbers, one in seven is no character in use
_MOST_ASCII = 0.92  # of the bytes that are not NUL; above it this is ASCII, with NULs in between
_PLAIN = bytes(range(32, 127)) + b"\t\r\n"
_UNUSED = {"Cc", "Cn", "Co", "Cs"}
_BREAKS = re.compile("[ \n、。，．]")  # the same two bytes the other way round are hardly ever text
_FEWEST_BREAKS = 0.005


def reads_as_text(text: str) -> bool:
    """Whether next to all of its beginning is characters in use."""
    counts = Counter(text[: _SAMPLE_BYTES // 2])
    odd = sum(count for character, count in counts.items() if _odd(character))
    return odd <= _MOST_ODD * counts.total()


def as_wide(data: bytes) -> str | None:
    """The text of UTF-32 or UTF-16 without a mark; None where the bytes can be something else."""
    if len(data) < 8 or b"\0" not in data[:_SAMPLE_BYTES]:
        return None
    for encoding, unit in (("utf-32-le", 4), ("utf-32-be", 4), ("utf-16-le", 2), ("utf-16-be", 2)):
        if len(data) % unit == 0 and _is(data[:_SAMPLE_BYTES], encoding, unit):
            return data.decode(encoding, "replace")
    return None


def _is(sample: bytes, encoding: str, unit: int) -> bool:
    text = sample.decode(encoding, "replace")
    if not reads_as_text(text):
        return False
    if unit == 4 or _latin(text):
        return True
    bytes_said = sample.replace(b"\0", b"")
    plain = len(bytes_said) - len(bytes_said.translate(None, _PLAIN))
    breaks = len(_BREAKS.findall(text))
    return plain < _MOST_ASCII * len(bytes_said) and breaks > _FEWEST_BREAKS * len(text)


def _latin(text: str) -> bool:
    """Then nearly every second byte is NUL, always on the same side."""
    return sum(character < "\u0100" for character in text) > 0.7 * len(text)


def _odd(character: str) -> bool:
    return character == "\ufffd" or (
        unicodedata.category(character) in _UNUSED and character not in "\t\n\v\f\r\x1a\x1b\ufeff"
    )
