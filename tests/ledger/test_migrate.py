"""The scripts make exactly the schema that the program uses; a newer one is refused; two may start at once."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, create_engine, text

from service.errors import Refused
from service.ledger import revision
from service.ledger.database import FORMAT, Ledger, sqlite_url, store_identity
from service.ledger.migrate import migrate
from service.ledger.schema import metadata

MIGRATE = """
import sys
from service.ledger.database import Ledger, store_identity
from service.ledger.migrate import migrate
ledger = Ledger.open(sys.argv[1])
print("ready", flush=True)
sys.stdin.readline()
migrate(ledger)
with ledger.write() as c:
    print(store_identity(c).store_id)
"""


def statements(c: Connection) -> dict[str, list[str]]:
    """Name -> the words of the statement that made it, conditions of indexes and checks among them."""
    rows = c.execute(
        text("SELECT name, sql FROM sqlite_master WHERE sql NOT NULL AND name != 'alembic_version'")
    )
    return {name: sorted(re.findall(r"\w+", sql)) for name, sql in rows}


@pytest.mark.filterwarnings("ignore:.*expression-based index")  # the second comparison sees these
def test_the_scripts_make_what_the_tables_say(ledger: Ledger) -> None:
    with ledger.read() as c:
        assert compare_metadata(MigrationContext.configure(c), metadata) == []
        migrated = statements(c)
    engine = create_engine("sqlite://")
    with engine.begin() as c:
        metadata.create_all(c)
        made = statements(c)
    engine.dispose()
    assert migrated == made


def test_what_tells_the_newest_revision_without_alembic_is_right(ledger: Ledger) -> None:
    scripts = ScriptDirectory(str(revision.FOLDER), version_locations=[str(revision.FOLDER)])
    assert revision.newest_revision() == scripts.get_current_head()
    assert revision.is_current(ledger)


def test_an_empty_ledger_is_not_current(tmp_path: Path) -> None:
    empty = Ledger.open(sqlite_url(tmp_path))
    assert not revision.is_current(empty)
    empty.close()


def test_migrating_again_changes_nothing(ledger: Ledger) -> None:
    with ledger.write() as c:
        before = store_identity(c)
    migrate(ledger)
    with ledger.write() as c:
        assert store_identity(c) == before


def test_a_schema_of_a_newer_tidestone_is_refused(ledger: Ledger) -> None:
    with ledger.write() as c:
        c.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    assert not revision.is_current(ledger)
    with pytest.raises(Refused, match=r"9999.*data_dir"):
        migrate(ledger)


def test_a_format_of_a_newer_tidestone_is_refused(ledger: Ledger) -> None:
    with ledger.write() as c:
        store_identity(c)
        c.execute(text(f"UPDATE store SET format = {FORMAT + 1}"))
    with pytest.raises(Refused, match="newer Tidestone"), ledger.write() as c:
        store_identity(c)


def test_processes_that_start_at_once_make_one_ledger(tmp_path: Path) -> None:
    command = [sys.executable, "-c", MIGRATE, sqlite_url(tmp_path)]
    pipe = subprocess.PIPE
    started = [subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) for _ in range(4)]
    for process in started:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    said = [process.communicate("go\n", timeout=60)[0] for process in started]
    assert [process.returncode for process in started] == [0] * len(started)
    assert len(set(said)) == 1
