"""Which earlier generations a collection's folder still has all files of, as its commit records tell them."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import accumulate
from pathlib import Path
from typing import Any

from service.maintenance.replay import Json, Replayed, Spans

Span = tuple[
    int, int, int | None, Json
]  # number, first generation, the one after the last (None: it goes on), what is said


@dataclass
class Past:
    """What a ledger should say of a collection's generations, its newest included."""

    folder: Path
    present: Replayed
    generations: list[int]  # those before the newest that are whole, ascending
    _so_far: list[int]  # how many of them there are below each generation
    _sizes: dict[str, int] = field(default_factory=dict)

    @classmethod
    def of(cls, folder: Path, present: Replayed, committed: list[int]) -> "Past":
        """`committed`: all generations that there ever were. Looks for files and their sizes; does not read them."""
        past = cls(folder, present, [], [])
        broken = [0] * (present.generation + 2)
        for number, begin, end, said in present.rows.ended:
            if not past._is_whole(number, said):
                broken[begin] += 1
                broken[end] -= 1
        first = present.spaces[0][0] if present.spaces else 0  # before it nobody knows what vectors meant
        depth = list(accumulate(broken))
        past.generations = [g for g in committed if first <= g < present.generation and not depth[g]]
        whole = set(past.generations)
        past._so_far = list(accumulate((g in whole for g in range(present.generation + 1)), initial=0))
        return past

    def versions(self) -> Iterator[Span]:
        """Spans of versions that a whole generation, or the newest, has."""
        return self._needed(self.present.visible)

    def segments(self) -> Iterator[Span]:
        """The same of segments."""
        return self._needed(self.present.rows)

    def has(self, file: Mapping[str, Any] | None) -> bool:
        """Whether the file is there, with its size."""
        if not file:
            return False
        name = str(file["name"])
        if name not in self._sizes:
            path = self.folder / name
            self._sizes[name] = path.stat().st_size if path.is_file() else -1
        return self._sizes[name] == int(file["bytes"])

    def _is_whole(self, number: int, said: Json | None) -> bool:
        if said is None:
            return False
        files = self.present.files[number]
        lives = [said["live"]] if said["live"] else []
        return all(self.has(file) for file in (files["faiss"], files["chunks"], *lives))

    def _needed(self, spans: Spans) -> Iterator[Span]:
        for number, begin, end, said in spans.ended:
            if said is not None and self._so_far[end] > self._so_far[begin]:
                yield number, begin, end, said
        yield from ((number, begin, None, said) for number, (begin, said) in spans.open.items())
