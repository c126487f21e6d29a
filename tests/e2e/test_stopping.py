"""SIGTERM ends a worker in time, whatever it waits for; nothing is lost by that."""

import json
import signal
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from service.supervisor import STOP_SECONDS
from tests.running import Place

DOCUMENTS = 120


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    with closing(
        Place(tmp_path, {"TIDESTONE_EMBEDDING__CHILDREN": "1", "INGESTION_BATCH_SIZE": "5"})
    ) as made:
        made.write(DOCUMENTS, sentences=8)
        yield made


def test_a_worker_that_cannot_write_to_the_ledger_ends_all_the_same(place: Place) -> None:
    ingest = place.start("ingest", "library", "--json")
    ledger = place.data / "tidestone.db"
    _wait_for_a_checkpoint(ledger)
    with closing(sqlite3.connect(ledger, isolation_level=None, timeout=30)) as keeping:
        keeping.execute("BEGIN IMMEDIATE")
        time.sleep(1)  # it has come to a write by now
        asked = time.monotonic()
        ingest.send_signal(signal.SIGTERM)
        ingest.communicate(timeout=120)
        took = time.monotonic() - asked
    assert took < STOP_SECONDS - 5, "a supervisor would have killed it"
    again = place.run("ingest", "library", "--json")
    assert again.returncode == 0, again.stderr
    [collection] = json.loads(place.run("status", "--json").stdout)["collections"]
    assert collection["documents"] == DOCUMENTS


def _wait_for_a_checkpoint(ledger: Path) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            with closing(sqlite3.connect(ledger)) as looking:
                if looking.execute("SELECT count(*) FROM checkpoints").fetchone()[0] >= 2:
                    return
        except sqlite3.OperationalError:
            pass
        time.sleep(0.1)
    raise AssertionError("no checkpoint in a minute")
