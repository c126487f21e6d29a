"""A ledger is called damaged when it is: what SQLite says of one bad read is looked at again."""

import sqlite3
from pathlib import Path

import pytest
from sqlalchemy.exc import DatabaseError

from service.errors import Refused, TryAgain
from service.ledger import metrics
from service.ledger.database import Ledger, sqlite_url
from service.ledger.migrate import migrate
from service.ledger.translate import translated


def test_damage_that_a_second_look_does_not_find_is_a_passing_condition(tmp_path: Path) -> None:
    ledger = Ledger.open(sqlite_url(tmp_path))
    migrate(ledger)
    said = sqlite3.DatabaseError("database disk image is malformed")
    said.sqlite_errorname = "SQLITE_CORRUPT"
    with pytest.raises(TryAgain, match="ledger_unavailable"), translated(ledger.file):
        raise DatabaseError("SELECT", {}, said)
    ledger.close()


def test_a_damaged_ledger_is_refused_with_the_ways_out(tmp_path: Path) -> None:
    ledger = Ledger.open(sqlite_url(tmp_path))
    migrate(ledger)
    ledger.close()
    file = tmp_path / "tidestone.db"
    file.write_bytes(file.read_bytes()[:4096] + b"\xaa" * (file.stat().st_size - 4096))
    again = Ledger.open(sqlite_url(tmp_path))
    with pytest.raises(Refused, match=r"repair --rebuild.*backup"), again.read() as c:
        metrics.everything(c)
    again.close()
