"""Whether a ledger has the newest schema, told without loading Alembic: most starts need no more."""

from pathlib import Path

from sqlalchemy import inspect, text

from service.ledger.database import Ledger

FOLDER = Path(__file__).parent.parent / "migrations"


def newest_revision() -> str:
    """The revision of the newest script, which its file is named after."""
    return max(script.stem for script in FOLDER.glob("ledger_*.py")).removeprefix("ledger_")


def is_current(ledger: Ledger) -> bool:
    """Whether there is nothing to migrate."""
    with ledger.read() as c:
        if not inspect(c).has_table("alembic_version"):
            return False
        return bool(c.execute(text("SELECT version_num FROM alembic_version")).scalar() == newest_revision())
