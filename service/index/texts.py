"""Cleaned text in compressed blocks, and slices of it put together again."""

import zlib
from collections.abc import Iterable, Iterator

from service.index.records import TextRecord

BLOCK_CHARACTERS = 4_096  # a chunk's text costs one or two of them to decompress
_LEVEL = 1

Block = tuple[int, int, int, bytes]  # version, start, stop (characters of the whole text), compressed UTF-8


def blocks(texts: Iterable[TextRecord]) -> Iterator[Block]:
    """Cut texts into blocks of at most BLOCK_CHARACTERS."""
    for record in texts:
        for offset in range(0, len(record.text), BLOCK_CHARACTERS):
            part = record.text[offset : offset + BLOCK_CHARACTERS]
            start = record.start + offset
            yield record.version, start, start + len(part), zlib.compress(part.encode(), _LEVEL)


def stitch(parts: Iterable[tuple[int, str]], start: int, stop: int) -> str:
    """Characters [start, stop) out of (start, text) parts in ascending order, which may overlap.

    Raises ValueError when a character is missing.
    """
    at, found = start, []
    for begin, text in parts:
        if begin > at:
            break
        found.append(text[at - begin : stop - begin])
        at += len(found[-1])
    if at < stop:
        raise ValueError(f"no text for characters {at} to {stop}")
    return "".join(found)
