"""Looking for a document with equal text takes the index, and believes nothing but the whole hash."""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event

from service.ledger import collections, documents
from service.ledger.database import Ledger, sqlite_url, utc_now
from service.ledger.migrate import migrate
from service.selftest.fake_embedder import FAKE_SPACE

HASH = "0123abcd" + "0" * 56
NEIGHBOUR = "0123abcd" + "1" * 56


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with closing(Ledger.open(sqlite_url(tmp_path))) as ledger:
        migrate(ledger)
        yield ledger


def with_document(ledger: Ledger, **values: Any) -> str:
    """The id of a collection with one indexed document."""
    with ledger.write() as c:
        collection = collections.create(c, "docs", asdict(FAKE_SPACE), "f32", {})
        source = collections.put_source(c, collection.id, "library", "library", "/library")
        row = {"collection_id": collection.id, "doc_id": 1, "source_id": source.id, "key": "k", "folder": ""}
        documents.save(c, [{**row, "name": "n", "state": "indexed", "updated_at": utc_now(), **values}], [])
    return str(collection.id)


def test_only_the_whole_hash_is_equal(ledger: Ledger) -> None:
    collection_id = with_document(ledger, content_sha256=HASH)
    with ledger.read() as c:
        found = documents.with_content(c, collection_id, HASH)
        assert found is not None
        assert found.key == "k"
        assert documents.with_content(c, collection_id, NEIGHBOUR) is None
        assert documents.with_content(c, "another", HASH) is None


def test_it_is_found_through_the_index(ledger: Ledger) -> None:
    said: list[tuple[str, Any]] = []
    event.listen(ledger.engine, "before_cursor_execute", lambda *a: said.append((a[2], a[3])))
    with ledger.read() as c:
        documents.with_content(c, "docs", HASH)
        statement, parameters = said[-1]
        plan = c.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters).all()
    assert "USING INDEX documents_by_content" in plan[0].detail
