"""Bring the ledger's schema up to date."""

from pathlib import Path

from alembic.config import Config
from alembic.runtime.environment import EnvironmentContext
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection

from service.errors import Refused
from service.ledger.database import Ledger

FOLDER = Path(__file__).parent.parent / "migrations"


def migrate(ledger: Ledger) -> None:
    """Apply what is missing. Raises Refused when the ledger was made by a newer Tidestone.

    Two processes may start at once: the write transaction lets one go first, and the other finds nothing to do.
    """
    scripts = ScriptDirectory(str(FOLDER), version_locations=[str(FOLDER)])
    with ledger.read() as c:
        current = MigrationContext.configure(c).get_current_revision()
    if current == scripts.get_current_head():
        return
    if current is not None and current not in {script.revision for script in scripts.walk_revisions()}:
        raise Refused(
            f"The ledger has schema {current}, which this Tidestone does not know: run the version that made "
            "it, or point data_dir elsewhere."
        )
    with ledger.write() as c:
        _upgrade(c, scripts)


def _upgrade(c: Connection, scripts: ScriptDirectory) -> None:
    environment = EnvironmentContext(
        Config(), scripts, fn=lambda revision, _: scripts._upgrade_revs("head", revision)
    )
    with environment:
        environment.configure(connection=c)
        environment.run_migrations()
