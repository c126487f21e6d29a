"""Cut a text into chunks that fit the model, at places which an edit elsewhere does not move.

The text is first seen as units (sentences and lines; words where a sentence is too long). Every break between
two units has a rank: its kind, then a hash of the unit that follows. A break that outranks all others within
`max_tokens` on both sides is an *anchor*: its neighbourhood alone makes it one, so an edit moves the anchors
near it and no others. Between anchors lie sections of one to about four chunks, packed from left to right.
(Packing the whole text that way would shift every chunk after an edit.)
"""

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import NamedTuple

from service.core.units import PARAGRAPH, Units

CHUNKER_VERSION = 1

CountTokens = Callable[[str], int]


class Cut(NamedTuple):
    """One chunk: the characters [start, stop) of the text, and what the counter says of them."""

    start: int
    stop: int
    tokens: int


def chunk(text: str, count_tokens: CountTokens, max_tokens: int, overlap_tokens: int) -> Iterator[Cut]:
    """Chunks in the order of the text; together they hold every character that is not white space.

    `count_tokens` counts as the model does, special tokens (and a prefix, if any) included; it never says
    more than `max_tokens` of a chunk. A chunk that begins inside a paragraph repeats up to `overlap_tokens`
    of what stands before it there. Raises ValueError when `max_tokens` cannot hold special tokens, overlap
    and one character.
    """
    special = count_tokens("")
    room = max_tokens - special
    if room <= overlap_tokens:
        raise ValueError(
            f"{max_tokens} tokens cannot hold {special} special tokens, {overlap_tokens} of overlap and text."
        )
    units = Units(text, lambda unit: count_tokens(unit) - special, room - overlap_tokens)
    packer = _Packer(text, units, count_tokens, max_tokens, overlap_tokens, special)
    for first, last in pairwise([0, *_anchors(units, max_tokens), len(units)]):
        yield from packer.pack(first, last)


def _anchors(units: Units, reach: int) -> list[int]:
    """The units whose break before them outranks all breaks less than `reach` tokens away, in order.

    One pass with a stack of breaks not outranked so far: a break is compared with the nearest one on its left
    and on its right that it does not outrank; the text's two ends outrank everything.
    """
    anchors: list[int] = []
    stack = [(0, False)]  # (unit, clear on its left)
    for i in range(1, len(units)):
        while len(stack) > 1 and units.rank[stack[-1][0]] < units.rank[i]:
            anchors += _confirmed(units, *stack.pop(), i, reach)
        stack.append((i, units.tokens(stack[-1][0], i) >= reach))
    for unit, clear in stack[1:]:
        anchors += _confirmed(units, unit, clear, len(units), reach)
    return sorted(anchors)


def _confirmed(units: Units, unit: int, clear_left: bool, outranked_by: int, reach: int) -> list[int]:
    return [unit] if clear_left and units.tokens(unit, outranked_by) >= reach else []


class _Packer:
    """Packs the units of one section into chunks, preferring strong breaks and even sizes."""

    def __init__(
        self, text: str, units: Units, count: CountTokens, max_tokens: int, overlap: int, special: int
    ) -> None:
        self._text, self._units, self._count = text, units, count
        self._max_tokens, self._overlap, self._special = max_tokens, overlap, special
        self._room = max_tokens - special
        self._begun = -1  # where the chunk before starts

    def pack(self, first: int, last: int) -> Iterator[Cut]:
        while first < last:
            start, lead = self._lead(first)
            if start <= self._begun:  # the overlap would swallow the whole chunk before
                start, lead = self._units.start[first], 0
            stop = self._stop(first, last, self._room - lead)
            cut, first = self._fit(start, first, stop)
            self._begun = cut.start
            yield cut

    def _stop(self, first: int, last: int, room: int) -> int:
        """The unit before which the chunk that begins with unit `first` should end."""
        units, rest = self._units, self._units.tokens(first, last)
        if rest <= room:
            return last
        # When about two chunks will do for the rest they share it evenly, so that no crumb is left over.
        two = rest <= 2 * room
        least, aim = (room // 4, rest // 2) if two else (room // 2, room)
        base = units.before[first]
        most = bisect_right(units.before, base + room, first + 1, last) - 1
        low = bisect_left(units.before, base + least, first + 1, most)
        return max(range(low, most + 1), key=lambda i: (units.kind[i], -abs(units.before[i] - base - aim)))

    def _lead(self, first: int) -> tuple[int, int]:
        """Where a chunk that begins with unit `first` starts, overlap included, and the overlap's tokens."""
        units, unit = self._units, first
        if not self._overlap or first == 0 or units.kind[first] >= PARAGRAPH:
            return units.start[first], 0
        while unit > 0 and units.kind[unit] < PARAGRAPH and units.tokens(unit - 1, first) <= self._overlap:
            unit -= 1
        if unit < first:
            return units.start[unit], units.tokens(unit, first)
        return self._last_words(first)

    def _last_words(self, first: int) -> tuple[int, int]:
        """The same where the unit before `first` is longer than the overlap: some of its last words."""
        units, begin, end = self._units, self._units.start[first - 1], self._units.stop[first - 1]
        near = end - (end - begin) * self._overlap // (2 * units.tokens(first - 1, first))
        start = self._text.find(" ", near, end) + 1
        tokens = self._count(self._text[start:end]) - self._special if start else self._overlap + 1
        return (start, tokens) if tokens <= self._overlap else (units.start[first], 0)

    def _fit(self, start: int, first: int, stop: int) -> tuple[Cut, int]:
        """The chunk of units [first, stop), cut back while the counter says it is too long for the model.

        Counts of units do not always add up: a tokenizer may join or part things at a unit's edge.
        """
        while True:
            cut = self._cut(start, stop)
            if cut.tokens <= self._max_tokens:
                return cut, stop
            if start < self._units.start[first]:
                start = self._units.start[first]
            else:
                stop = first + max(1, (stop - first) * self._max_tokens // cut.tokens)

    def _cut(self, start: int, stop: int) -> Cut:
        end = self._units.stop[stop - 1]
        return Cut(start, end, self._count(self._text[start:end]))
