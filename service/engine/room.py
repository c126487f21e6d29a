"""Room on the disk: work stops while there is still enough to stop in good order."""

import shutil

from service.engine.settings import EngineSettings
from service.errors import TryAgain


def require_room(settings: EngineSettings) -> None:
    """Raises TryAgain when fewer bytes are free than are to stay free."""
    free = shutil.disk_usage(settings.data_dir).free
    if free < settings.min_free_bytes:
        raise TryAgain(
            "disk_low", f"{free} bytes are free in {settings.data_dir}, {settings.min_free_bytes} are wanted"
        )
