"""Room on the disk: work stops while there is still enough to stop in good order."""

import shutil

from service.engine.settings import EngineSettings
from service.errors import TryAgain
from service.ledger.database import Ledger


def require_room(settings: EngineSettings, ledger: Ledger) -> None:
    """Raises TryAgain when fewer bytes are free than are to stay free, for good order and for control."""
    if problem := lack_of_room(settings, ledger):
        raise TryAgain("disk_low", problem)


def lack_of_room(settings: EngineSettings, ledger: Ledger) -> str:
    """What is wanting, and how much of it; "" when work may go on. Raises OSError where the folder is gone."""
    free = shutil.disk_usage(settings.data_dir).free
    # What was given up for a pause on a full disk is for the next one, not for the work that was paused.
    wanted = max(settings.min_free_bytes, ledger.wanting_bytes())
    return f"{free} bytes are free in {settings.data_dir}, {wanted} are wanted" if free < wanted else ""
