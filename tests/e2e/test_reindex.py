"""Another space, with the real model and real processes: refused, prepared, killed, gone on with, switched."""

import signal
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from service.reader import Collection
from tests.running import Place, ended

DOCUMENTS = 12
PREFIX = {"TIDESTONE_EMBEDDING__PREFIX": "passage: "}


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    made = Place(tmp_path)
    made.settings["TIDESTONE_INGESTION__MIN_FREE_BYTES"] = "0"
    made.write(DOCUMENTS)
    yield made
    made.close()


def test_a_collection_moves_to_another_space_through_a_kill(place: Place) -> None:
    place.ask("ingest", "library")
    opened = Collection.open(place.data / "collections" / "default")
    before = {(row.key, row.ordinal): row for row in opened.rows()}
    question = "Who counts the ships in the harbour?"

    refused = place.run("search", question, **PREFIX)
    assert (refused.returncode, "tidestone reindex" in refused.stderr) == (1, True), refused.stderr
    killed = place.start("reindex", **PREFIX, TIDESTONE_FAILPOINTS="ledger.after=kill@1")
    assert ended(killed)[0] == -signal.SIGKILL

    place.settings |= PREFIX
    report = place.ask("reindex")
    assert (report["job"]["state"], report["job"]["progress"]["done"]) == ("succeeded", DOCUMENTS)
    assert report["job"]["attempt"] == 2
    assert place.ask("verify")["valid"]
    assert opened.refresh()
    assert opened.snapshot().space["prefix"] == "passage: "
    after = {(row.key, row.ordinal): row for row in opened.rows()}
    assert {name: row.text for name, row in after.items()} == {name: row.text for name, row in before.items()}
    assert not any(np.allclose(after[name].vector, before[name].vector) for name in before)
    assert "harbour master" in place.ask("search", question)["hits"][0]["text"]
