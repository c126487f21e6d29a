"""A text as units: the sentences and lines that chunks are made of, with the kind of break before each."""

import re
import zlib
from array import array
from collections.abc import Callable, Iterator

# Kinds of breaks, the weakest first. WRAP: a line ends, what it says goes on in the next.
INSIDE_WORD, WORD, WRAP, SENTENCE, LINE, PARAGRAPH, HEADING = range(7)

_HEADING = re.compile("#{1,6} ")
_SENTENCE_END = re.compile(
    r"([.!?…][\"'”’)\]]*(?=\s)|[。！？]+|(?<=[\u3040-\u9fff\uac00-\ud7a3])[!?]+)\s*"  # cleaning folds ！ and ？
)
_SENTENCE_ENDS = ".!?…:;。！？"
_SHORT_LINE = 120  # characters; a line up to this long is one unit
_SLAB = re.compile(r"\S{1,32}")  # a word, or a part of a very long one
_CHARACTERS_PER_TOKEN = 8  # at most, in ordinary text; what is longer is cut up before it is counted


class Units:
    """Column-wise, since a large text has a million of them; unit i is `text[start[i]:stop[i]]`."""

    def __init__(self, text: str, count: Callable[[str], int], room: int) -> None:
        """`count` without special tokens. Raises ValueError when one character has over `room` tokens."""
        self._text, self._count, self._room = text, count, room
        self.start, self.stop = array("Q"), array("Q")
        self.before = array("Q", [0])  # before[i]: tokens of all units before unit i
        self.kind = array("b")  # of the break before the unit
        self.rank = array(
            "Q"
        )  # of that break among its neighbours: its kind, then chance fixed by the content
        for start, stop, kind in self._sentences():
            self._add(start, stop, kind)

    def __len__(self) -> int:
        return len(self.start)

    def tokens(self, first: int, last: int) -> int:
        """Tokens of the units [first, last), each counted alone."""
        return self.before[last] - self.before[first]

    def _sentences(self) -> Iterator[tuple[int, int, int]]:
        for start, stop, kind in self._lines():
            if stop - start > _SHORT_LINE:
                for end in _SENTENCE_END.finditer(self._text, start, stop):
                    if end.end() < stop:
                        yield start, end.end(1), kind
                        start, kind = end.end(), SENTENCE
            yield start, stop, kind

    def _lines(self) -> Iterator[tuple[int, int, int]]:
        start, blank, before = 0, True, ""
        while start < len(self._text):
            end = self._text.find("\n", start)
            end = len(self._text) if end < 0 else end
            bare = self._text[start:end].rstrip()
            if bare:
                yield start, start + len(bare), _kind_between(before, blank, bare)
                before = bare
            blank = not bare
            start = end + 1

    def _add(self, start: int, stop: int, kind: int) -> None:
        """Add [start, stop) as one unit if it fits, else its words."""
        if stop - start <= self._room * _CHARACTERS_PER_TOKEN and self._added(start, stop, kind):
            return
        for slab in _SLAB.finditer(self._text, start, stop):
            self._add_slab(slab.start(), slab.end(), kind)
            ends = slab.end() < stop and self._text[slab.end()].isspace()
            kind = WORD if ends else INSIDE_WORD

    def _add_slab(self, start: int, stop: int, kind: int) -> None:
        if self._added(start, stop, kind):
            return
        if stop - start == 1:
            raise ValueError(f"A single character takes more than the {self._room} tokens there is room for.")
        middle = (start + stop) // 2
        self._add_slab(start, middle, kind)
        self._add_slab(middle, stop, INSIDE_WORD)

    def _added(self, start: int, stop: int, kind: int) -> bool:
        unit = self._text[start:stop]
        tokens = self._count(unit)
        if tokens > self._room:
            return False
        self.start.append(start)
        self.stop.append(stop)
        self.kind.append(kind)
        self.before.append(self.before[-1] + max(tokens, 1))
        self.rank.append(kind << 32 | zlib.crc32(unit.encode("utf-8", "replace")))
        return True


def _kind_between(before: str, blank: bool, line: str) -> int:
    """The kind of the break between two lines, with blank lines in between or not."""
    if _HEADING.match(before):
        return SENTENCE  # what a heading heads is not parted from it
    if blank:
        return HEADING if _HEADING.match(line) else PARAGRAPH
    return LINE if before[-1] in _SENTENCE_ENDS else WRAP
