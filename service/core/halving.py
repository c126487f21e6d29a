"""Where to cut a text in two that is too long for the model."""

import re
from collections.abc import Iterator

# The strongest breaks first; what is between the halves is left out, as it is between chunks.
_BREAKS = [re.compile(pattern) for pattern in (r"\n\s*\n\s*", r"\s*\n\s*", r"(?<=[.!?…。！？])\s+", r"\s+")]


def halves(text: str) -> tuple[tuple[int, int], tuple[int, int]] | None:
    """The character ranges of two parts, neither empty; None where there is but one character.

    The break nearest to the middle, of the strongest kind that there is in the middle half.
    """
    if len(text) < 2:
        return None
    for pattern in _BREAKS:
        found = min(_inside(pattern, text), key=lambda cut: abs(sum(cut) - len(text)), default=None)
        if found is not None:
            return (0, found[0]), (found[1], len(text))
    middle = len(text) // 2
    return (0, middle), (middle, len(text))


def _inside(pattern: re.Pattern[str], text: str) -> Iterator[tuple[int, int]]:
    for match in pattern.finditer(text):
        start, stop = match.span()
        if len(text) <= 4 * start and 4 * stop <= 3 * len(text):
            yield start, stop
