"""Scenes of the ledger as a whole: made anew where it is lost or damaged, brought to the newest schema."""

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

from alembic.config import Config
from alembic.runtime.environment import EnvironmentContext
from alembic.script import ScriptDirectory

from service.ledger.damage import is_damaged
from service.ledger.database import Ledger, sqlite_url
from service.ledger.migrate import FOLDER as SCRIPTS
from service.ledger.migrate import migrate
from service.ledger.revision import newest_revision
from service.maintenance.rebuild import LEDGER, rebuild
from tests.engine.stories import check_that_nothing_is_lost_or_doubled, later_run
from tests.powerloss.checking import check_the_same_end, check_what_was_promised, opened
from tests.powerloss.job_scenes import the_same_again
from tests.powerloss.recording import Promises
from tests.powerloss.scene import Scene, Step, Tell
from tests.powerloss.upkeep_scenes import a_collection, repaired

OLDEST = "0001"
LOG = f"{LEDGER}-wal"
FOREIGN = "log-of-the-lost"  # a copy of it


def without_a_ledger(folder: Path) -> None:
    """Only its log is left, full of pages that belong to the lost one."""
    a_collection(folder)
    data = folder / "data"
    with opened(folder) as world:
        with world.ledger.write() as c:
            c.exec_driver_sql("UPDATE collections SET documents = documents")
        log = (data / LOG).read_bytes()
    (data / LEDGER).unlink()
    (data / LOG).write_bytes(log)
    (folder / FOREIGN).write_bytes(log)


def with_a_damaged_ledger(folder: Path) -> None:
    """It has the same log, and is no database any more."""
    without_a_ledger(folder)
    (folder / "data" / LEDGER).write_bytes(b"no ledger any more" * 1_000)


def make_anew(folder: Path, tell: Tell) -> None:
    """Make the ledger of the commit records."""
    rebuild(folder / "data")
    tell(rebuilt=True)


def promised_of_one_made_anew(folder: Path, promises: Promises) -> None:
    """It is there, whole, and knows what readers see; until then nothing but another attempt touches the folder.

    The lost one's log is never beside the new one: it would be played into it.
    """
    file, log = folder / "data" / LEDGER, folder / "data" / LOG
    if file.exists() and file.read_bytes().startswith(b"SQLite") and log.exists():
        assert log.read_bytes() != ((folder / "library").resolve().parent / FOREIGN).read_bytes()
    if promises.told.get("rebuilt"):
        assert not _is_lost(folder / "data")
        check_what_was_promised(folder, promises)


def make_anew_again(folder: Path) -> None:
    """The same command again, where it has not come to its end; then all there is to mend."""
    if _is_lost(folder / "data"):
        rebuild(folder / "data")
    repaired(folder)


def check_the_ledger_made_anew(folder: Path) -> None:
    """It says the same; nothing of the making is left but, perhaps, a folder.

    It is empty, or has the ledger's former name, on a disk that does not move a name from one folder to another at once.
    """
    check_the_same_end(folder)
    assert {path.name for path in (folder / "data").glob(".rebuild-*/*")} <= {LEDGER}


def _is_lost(data: Path) -> bool:
    file = data / LEDGER
    return not file.exists() or is_damaged(file)


def with_an_old_ledger(folder: Path) -> None:
    """A collection and a job to do, in the schema of the first release."""
    later_run(folder)
    data = folder / "data"
    old = folder / "old"
    old.mkdir()
    _make(old)
    with closing(sqlite3.connect(old / LEDGER, isolation_level=None)) as c:
        c.execute(f"ATTACH '{data / LEDGER}' AS present")
        names = c.execute("SELECT name FROM main.sqlite_master WHERE type = 'table'").fetchall()
        for (name,) in names:
            if name not in ("alembic_version", "sqlite_sequence"):
                columns = ", ".join(f'"{row[1]}"' for row in c.execute(f"PRAGMA main.table_info({name})"))
                c.execute(f"INSERT INTO main.{name} ({columns}) SELECT {columns} FROM present.{name}")
    (data / LEDGER).write_bytes((old / LEDGER).read_bytes())
    shutil.rmtree(old)


def _make(folder: Path) -> None:
    """An empty ledger of the oldest schema."""
    scripts = ScriptDirectory(str(SCRIPTS), version_locations=[str(SCRIPTS)])
    environment = EnvironmentContext(
        Config(), scripts, fn=lambda revision, _: scripts._upgrade_revs(OLDEST, revision)
    )
    with closing(Ledger.open(sqlite_url(folder))) as ledger, ledger.write() as c, environment:
        environment.configure(connection=c)
        environment.run_migrations()


def bring_up_to_date(folder: Path, tell: Tell) -> None:
    """What every start does first."""
    with closing(Ledger.open(sqlite_url(folder / "data"))) as ledger:
        migrate(ledger)
    tell(migrated=True)


def promised_of_a_migration(folder: Path, promises: Promises) -> None:
    """The schema is the old one or the new one, and everything is there that was there."""
    with closing(sqlite3.connect(folder / "data" / LEDGER)) as c:
        revision = c.execute("SELECT version_num FROM alembic_version").fetchone()[0]
    assert revision in ({newest_revision()} if promises.told.get("migrated") else {OLDEST, newest_revision()})
    check_what_was_promised(folder, promises)


LEDGER_SCENES = {
    "rebuild of a lost": Scene(
        without_a_ledger,
        [Step(make_anew)],
        make_anew_again,
        check_the_ledger_made_anew,
        promised_of_one_made_anew,
    ),
    "rebuild of a damaged": Scene(
        with_a_damaged_ledger,
        [Step(make_anew)],
        make_anew_again,
        check_the_ledger_made_anew,
        promised_of_one_made_anew,
    ),
    "migration": Scene(
        with_an_old_ledger,
        [Step(bring_up_to_date)],
        the_same_again,
        check_that_nothing_is_lost_or_doubled,
        promised_of_a_migration,
    ),
}
