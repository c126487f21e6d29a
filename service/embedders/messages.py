"""How texts travel to a child: their UTF-8 in a message's body, the lengths in its header."""

from collections.abc import Sequence


def join_texts(texts: Sequence[str]) -> tuple[list[int], bytes]:
    """Lengths in bytes, and the texts one after another; a lone surrogate, no UTF-8, becomes "?"."""
    encoded = [text.encode(errors="replace") for text in texts]
    return [len(text) for text in encoded], b"".join(encoded)


def split_texts(lengths: Sequence[int], body: bytes) -> list[str]:
    """The inverse of `join_texts`."""
    texts, start = [], 0
    for length in lengths:
        texts.append(body[start : start + length].decode())
        start += length
    return texts
