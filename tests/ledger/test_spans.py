"""The net difference of two generations, whatever happened in between, against sets kept beside it."""

import random

import pytest
from sqlalchemy import Connection, insert

from service.ledger import collections, spans, versions
from service.ledger.database import Ledger
from service.ledger.schema import documents as document_rows
from service.ledger.spans import Difference, Tally

Visible = dict[int, int]  # doc_id -> version


class History:
    """A collection whose visible versions are known at every generation; version 10 * d + n is of document d."""

    def __init__(self, c: Connection, number_of_documents: int) -> None:
        self.c, self.visible = c, [Visible()]
        self.id = collections.create(c, "docs", {}, "f32", {}).id
        source = collections.put_source(c, self.id, "library", "library", "/library").id
        place = {"source_id": source, "folder": "", "state": "indexed", "updated_at": ""}
        ids = range(1, number_of_documents + 1)
        c.execute(
            insert(document_rows),
            [{"collection_id": self.id, "doc_id": d, "key": f"k{d}", "name": f"k{d}", **place} for d in ids],
        )
        said = {"content_sha256": "", "recipe": "", "state": "complete", "chunks": 1, "prefix_sha256": ""}
        said |= {"first_batch": 1, "last_batch": 1}
        numbers = [(d, 10 * d + n) for d in ids for n in range(3)]
        new = [{"collection_id": self.id, "doc_id": d, "version_id": v, **said} for d, v in numbers]
        versions.save(c, new, [])

    def become(self, visible: Visible) -> None:
        """One more generation."""
        before, generation = self.visible[-1], len(self.visible)
        gone = [v for d, v in before.items() if visible.get(d) != v]
        come = [v for d, v in visible.items() if before.get(d) != v]
        versions.close_spans(self.c, self.id, gone, generation)
        versions.open_spans(self.c, self.id, come, generation)
        self.visible.append(visible)

    def differences(self, start: int, end: int) -> list[Difference]:
        here, there = self.visible[start], self.visible[end]
        touched = sorted(d for d in {*here, *there} if here.get(d) != there.get(d))
        return [Difference(d, f"k{d}", here.get(d), there.get(d)) for d in touched]


@pytest.mark.parametrize("seed", range(5))
def test_between_any_two_generations_in_either_direction(ledger: Ledger, seed: int) -> None:
    chance = random.Random(seed)
    with ledger.write() as c:
        history = History(c, 6)
        for _ in range(9):
            if chance.random() < 0.3:  # as a rollback makes it: versions come back
                history.become(dict(chance.choice(history.visible)))
            else:
                chosen = chance.sample(range(1, 7), chance.randint(0, 6))
                history.become({d: 10 * d + chance.randint(0, 2) for d in chosen})
        for start in range(10):
            for end in range(10):
                expected = history.differences(start, end)
                assert list(spans.delta(c, history.id, start, end)) == expected
                kinds = [(d.before is None, d.after is None) for d in expected]
                counted = Tally(*(kinds.count(k) for k in ((True, False), (False, False), (False, True))))
                assert spans.tally(c, history.id, start, end) == counted


def test_page_by_page(ledger: Ledger) -> None:
    with ledger.write() as c:
        history = History(c, 6)
        history.become({d: 10 * d for d in range(1, 7)})
        first = list(spans.delta(c, history.id, 0, 1, limit=4))
        rest = list(spans.delta(c, history.id, 0, 1, after=first[-1].doc_id, limit=4))
    assert (len(first), len(rest)) == (4, 2)
    assert first + rest == history.differences(0, 1)
