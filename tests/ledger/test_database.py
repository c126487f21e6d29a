"""Transactions: all or nothing, one writer at a time, and a busy ledger is a passing condition."""

from collections.abc import Iterator
from pathlib import Path
from threading import Thread

import pytest
from sqlalchemy.exc import OperationalError

from service.errors import TryAgain
from service.ledger import database, metrics
from service.ledger.database import Ledger, sqlite_url
from service.ledger.migrate import migrate
from service.ledger.translate import translated


@pytest.fixture
def impatient(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Ledger]:
    monkeypatch.setattr(database, "BUSY_SECONDS", 0.05)
    made = Ledger.open(sqlite_url(tmp_path))
    migrate(made)
    yield made
    made.close()


def value_of(ledger: Ledger, name: str) -> float:
    with ledger.read() as c:
        return sum(float(row.value) for row in metrics.everything(c) if row.name == name)


def test_a_block_that_raises_leaves_nothing(ledger: Ledger) -> None:
    def write_and_fail() -> None:
        with ledger.write() as c:
            metrics.add(c, "written")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        write_and_fail()
    assert value_of(ledger, "written") == 0


def test_while_one_writes_another_is_told_to_try_again_and_readers_go_on(impatient: Ledger) -> None:
    with impatient.write() as c:
        metrics.add(c, "written")
        with pytest.raises(TryAgain) as caught, impatient.write():
            pass
        assert caught.value.reason == "ledger_busy"
        assert value_of(impatient, "written") == 0
    assert value_of(impatient, "written") == 1


def test_a_full_disk_is_a_passing_condition(impatient: Ledger) -> None:
    with impatient.write() as c:
        pages = c.exec_driver_sql("PRAGMA page_count").scalar_one()
        c.exec_driver_sql(f"PRAGMA max_page_count = {pages}")
        many = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 999) "
        with pytest.raises(TryAgain) as caught, translated():
            c.exec_driver_sql(f"INSERT INTO metrics {many} SELECT hex(randomblob(50)), i, 1 FROM n")
    assert caught.value.reason == "disk_low"


def test_other_errors_are_not_disguised(impatient: Ledger) -> None:
    with pytest.raises(OperationalError), impatient.write() as c:
        c.exec_driver_sql("SELECT * FROM no_such_table")


def test_a_reader_sees_one_state_however_long_it_looks(ledger: Ledger) -> None:
    with ledger.write() as c:
        metrics.add(c, "written")
    with ledger.read() as c:
        before = metrics.everything(c)
        with ledger.write() as other:
            metrics.add(other, "written")
        assert metrics.everything(c) == before
    assert value_of(ledger, "written") == 2


def test_additions_of_many_threads_all_count(ledger: Ledger) -> None:
    def add_often() -> None:
        for _ in range(25):
            with ledger.write() as c:
                metrics.add(c, "written")

    threads = [Thread(target=add_often) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert value_of(ledger, "written") == 100


@pytest.mark.parametrize(
    ("pragma", "value"), [("journal_mode", "wal"), ("synchronous", 2), ("foreign_keys", 1)]
)
def test_what_is_committed_is_on_the_disk(ledger: Ledger, pragma: str, value: object) -> None:
    with ledger.read() as c:
        assert c.exec_driver_sql(f"PRAGMA {pragma}").scalar() == value


def test_a_ledger_that_was_moved_away_takes_nothing_more(ledger: Ledger, tmp_path: Path) -> None:
    with ledger.write() as c:
        metrics.add(c, "written")
    file, aside = tmp_path / "tidestone.db", tmp_path / "aside.db"
    file.rename(aside)
    for replaced in (False, True):
        if replaced:
            file.write_bytes(aside.read_bytes())
        for transaction in (ledger.read, ledger.write):
            with pytest.raises(TryAgain, match="put it back") as caught, transaction():
                pass
            assert caught.value.reason == "ledger_unavailable"
    aside.replace(file)
    assert value_of(ledger, "written") == 1
