"""What a database says, as errors named by what the caller does next."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy.exc import DatabaseError, OperationalError

from service.errors import Refused, TryAgain
from service.ledger.damage import is_damaged

_BUSY = ("SQLITE_BUSY", "SQLITE_LOCKED")
# The index of the log cannot grow: SQLite calls that an I/O error, but the disk is full.
_FULL = ("SQLITE_FULL", "SQLITE_IOERR_SHMSIZE")
_READ_ONLY = ("SQLITE_READONLY", "SQLITE_PERM")
_OUT_OF_REACH = ("SQLITE_IOERR", "SQLITE_CANTOPEN", "SQLITE_PROTOCOL", "SQLITE_NOMEM", "SQLITE_NOLFS")
_DAMAGED = ("SQLITE_CORRUPT", "SQLITE_NOTADB")


@contextmanager
def translated(file: Path | None = None) -> Iterator[None]:
    """Raises TryAgain for what a later call may not meet, and Refused for a ledger that is damaged.

    `file`: the embedded ledger, which is looked at again before it is called damaged.
    """
    try:
        yield
    except (DatabaseError, sqlite3.DatabaseError) as error:
        said = getattr(error, "orig", error)
        name = str(getattr(said, "sqlite_errorname", "") or "")
        if name.startswith(_DAMAGED) and file is not None and not is_damaged(file):
            raise TryAgain("ledger_unavailable", f"{said}, or so it seemed: see to that disk") from error
        _raise(name, str(said), error)
        raise


def is_busy(error: DatabaseError) -> bool:
    """Whether somebody else just has what is wanted."""
    return str(getattr(error.orig, "sqlite_errorname", "") or "").startswith(_BUSY)


def _raise(name: str, text: str, error: Exception) -> None:
    if name.startswith(_BUSY):
        raise TryAgain("ledger_busy", text) from error
    if name.startswith(_FULL):
        raise TryAgain("disk_low", text) from error
    if name.startswith(_READ_ONLY):
        raise TryAgain("not_writable", f"{text}: make data_dir writable for this user") from error
    if name.startswith("SQLITE_CANTOPEN"):
        advice = "its folder must be there, and writable for this user"
        raise TryAgain("ledger_unavailable", f"{text}: {advice} ({name})") from error
    if name.startswith(_OUT_OF_REACH):
        raise TryAgain("ledger_unavailable", f"{text} ({name})") from error
    if name.startswith(_DAMAGED):
        raise Refused(
            f"The ledger is damaged ({text}): stop every Tidestone on this data_dir and run `tidestone repair --rebuild`, "
            "which makes it anew from the collections' commit records, or restore a backup."
        ) from error
    if isinstance(error, OperationalError) and error.connection_invalidated:
        raise TryAgain("ledger_unavailable", text) from error
