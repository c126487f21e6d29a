"""The data folder and the ledger in it: made, recognised, refused."""

import os
from pathlib import Path

from sqlalchemy.exc import ArgumentError, NoSuchModuleError

from service.errors import BadRequest, Refused
from service.index.files import make_data_folder
from service.ledger.database import Ledger, sqlite_url
from service.ledger.filesystem import require_safe
from service.ledger.revision import is_current
from service.settings import ELSEWHERE, Settings

UNFINISHED_RESTORE = "restoring.json"  # see service/maintenance/put_back.py


def open_ledger(settings: Settings, create: bool = True) -> Ledger:
    """The ledger with the newest schema. Raises BadRequest, and Refused: also without `create` and a ledger."""
    url = sqlite_url(settings.data_dir) if settings.ledger.url == "sqlite" else settings.ledger.url
    if (settings.data_dir / UNFINISHED_RESTORE).exists():
        raise Refused(
            f"A restore into {settings.data_dir} has not come to its end: run the same command again."
        )
    if settings.ledger.url == "sqlite":
        _refuse_a_lost_ledger(settings.data_dir)
    if create:
        _make_data_dir(settings.data_dir)
    elif settings.ledger.url == "sqlite" and not (settings.data_dir / "tidestone.db").exists():
        raise Refused(
            f"There is no ledger in {settings.data_dir}: nothing is ingested there yet, or {ELSEWHERE}"
        )
    if settings.ledger.url == "sqlite":
        require_safe(settings.data_dir)
    try:
        ledger = Ledger.open(url)
    except (ArgumentError, NoSuchModuleError, ImportError) as error:
        raise BadRequest(f"ledger.url {url!r} cannot be used: {error}") from error
    if not is_current(ledger):
        from service.ledger.migrate import migrate

        migrate(ledger)
    return ledger


def _refuse_a_lost_ledger(folder: Path) -> None:
    """A new one would know nothing of what is there."""
    if not (folder / "tidestone.db").exists() and any((folder / "collections").glob("*/commits/*.json")):
        raise Refused(
            f"{folder} has collections and no ledger: `tidestone repair --rebuild` makes it anew from their commit "
            "records, or put the ledger back from a backup."
        )


def _make_data_dir(folder: Path) -> None:
    try:
        make_data_folder(folder)
    except OSError as error:
        raise Refused(f"{folder} cannot be made: {error.strerror}. Choose another data_dir.") from error
    if not os.access(folder, os.W_OK | os.X_OK):
        raise Refused(f"{folder} cannot be written to: give this user the right, or choose another data_dir.")
