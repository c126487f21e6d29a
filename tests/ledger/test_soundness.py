"""After an unclean stop every page of the ledger is looked at: before the work, or beside it where it is large."""

import shutil
from contextlib import closing
from pathlib import Path
from threading import Event

import pytest

from service.errors import Refused
from service.ledger import metrics, soundness
from service.ledger.database import Ledger, sqlite_url
from service.ledger.migrate import migrate
from service.ledger.soundness import require_sound, was_left_open

PAGE = 4_096


@pytest.fixture
def left(tmp_path: Path) -> Path:
    """A ledger's file as a power cut leaves it: copied while it is open."""
    (tmp_path / "open").mkdir()
    (tmp_path / "left").mkdir()
    with closing(Ledger.open(sqlite_url(tmp_path / "open"))) as ledger:
        migrate(ledger)
        for n in range(300):
            with ledger.write() as c:
                metrics.add(c, f"metric-{n}-{'x' * 60}")
        for name in ("tidestone.db", "tidestone.db-wal"):
            shutil.copy(tmp_path / "open" / name, tmp_path / "left" / name)
    return tmp_path / "left/tidestone.db"


def damage(file: Path) -> None:
    """Zeros in the middle, where the log has nothing newer."""
    with closing(Ledger.open(sqlite_url(file.parent))) as ledger, ledger.write() as c:
        metrics.add(c, "one more")  # and with it the log goes into the file
    pages = file.stat().st_size // PAGE
    with file.open("r+b") as opened:
        for page in range(pages // 2, pages):
            opened.seek(page * PAGE)
            opened.write(b"\xff" * 64)
    file.with_name("tidestone.db-wal").write_bytes(b"not a log, and so ignored")


def test_one_that_was_left_open_is_told_from_one_that_was_closed(left: Path) -> None:
    with closing(Ledger.open(sqlite_url(left.parent))) as ledger:
        assert ledger.left_open
        with ledger.read() as c:
            assert metrics.everything(c)
    with closing(Ledger.open(sqlite_url(left.parent))) as ledger:
        assert not ledger.left_open


def test_a_sound_one_is_taken(left: Path) -> None:
    require_sound(left, lambda: pytest.fail("it is sound"))
    assert was_left_open(left)


def test_a_damaged_one_is_refused_with_the_ways_out(left: Path) -> None:
    damage(left)
    with pytest.raises(Refused, match="repair --rebuild"):
        require_sound(left, lambda: None)


def test_of_a_large_ones_damage_the_worker_hears_later(left: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    damage(left)
    monkeypatch.setattr(soundness, "SMALL_BYTES", 0)
    heard = Event()
    require_sound(left, heard.set)
    assert heard.wait(60)
