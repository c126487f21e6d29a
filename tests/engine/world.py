"""The self-test's world, and what a test asks of it: what a reader finds, and what the library's files say."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from service.ledger import jobs as job_rows
from service.reader import Collection
from service.selftest import world
from service.selftest.world import OLD

__all__ = ["OLD", "World"]


class World(world.World):
    """With what tests compare."""

    def contents(self) -> set[tuple[str, int, str]]:
        """What a reader finds: (key, chunk number, chunk text), each exactly once."""
        rows = [(row.key, row.ordinal, row.text) for row in Collection.open(self.files).rows()]
        assert len(rows) == len(set(rows)), "a chunk is there twice"
        return set(rows)

    def expected(self) -> set[tuple[str, int, str]]:
        """What the library's files say."""
        found = set()
        for path in self.library.rglob("*.jsonl"):
            for line in _text_of(path).splitlines():
                record = json.loads(line)
                key = f"library/{path.relative_to(self.library)}#{record['id']}"
                found |= {(key, n, part) for n, part in enumerate(record["text"].split("\n\n"))}
        for path in self.library.rglob("*.txt"):
            text = _text_of(path)
            if len(text) >= 10 and not text.startswith("DAMAGED"):
                key = f"library/{path.relative_to(self.library)}"
                found |= {(key, n, part) for n, part in enumerate(text.split("\n\n"))}
        return found

    @contextmanager
    def job_row(self, job_id: str) -> Iterator[Any]:
        with self.ledger.read() as c:
            yield job_rows.get(c, job_id)


def _text_of(path: Path) -> str:
    """What a file says, if that is text."""
    try:
        return path.read_text()
    except UnicodeDecodeError:
        return ""
