"""Token counters for tests, imported by the parser's children too."""

import os
import re
import signal
import time
from pathlib import Path

_PIECE = re.compile(r"\w{1,4}|[^\w\s]")


class WordPieces:
    """Counts about as a BERT tokenizer does: two special tokens, pieces of four letters, marks one by one."""

    def __init__(self, path: Path = Path()) -> None:
        self.path = path

    def count(self, text: str) -> int:
        return 2 + len(_PIECE.findall(text))


class Grudging:
    """A tokenizer of which parts count less than the whole: every blank counts, and each end hides up to two."""

    def __init__(self, path: Path = Path()) -> None:
        self.path = path

    def count(self, text: str) -> int:
        return max(1, len(text.encode("utf-8", "replace")) - 4)


class Harmful(WordPieces):
    """Does to its process what the text asks for; stands for a parser that a document makes misbehave."""

    def count(self, text: str) -> int:
        if "PLEASE HANG" in text:
            re.match("(a+)+$", "a" * 60 + "b")  # for years, in C
        if "PLEASE DIE" in text:
            os.kill(os.getpid(), signal.SIGSEGV)
        if "PLEASE EAT" in text:
            bytearray(1 << 40)
        if "PLEASE WAIT" in text:
            self._once()
        return super().count(text)

    def _once(self) -> None:
        """Leave a mark and wait for whoever made us wait; where the mark is already, go on."""
        mark = self.path / "waiting"
        if not mark.exists():
            mark.touch()
            time.sleep(60)


class Knowing(WordPieces):
    """Knows no word that is not ASCII: each is one token."""

    def count(self, text: str) -> int:
        return 2 + len(text.split())
