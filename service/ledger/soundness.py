"""Look at a ledger that was not closed: nothing else finds a page that nobody has read yet."""

import logging
from collections.abc import Callable
from pathlib import Path
from threading import Thread

from service.errors import Refused
from service.ledger.damage import is_damaged

SMALL_BYTES = 64 << 20  # such a ledger is looked at before any work; a larger one beside it

log = logging.getLogger("tidestone.ledger")


def was_left_open(file: Path) -> bool:
    """Whether the last process did not close it, or another has it open now: SQLite removes the log of one that is closed."""
    written = file.with_name(f"{file.name}-wal")
    return written.exists() and written.stat().st_size > 0


def require_sound(file: Path, on_damage: Callable[[], None]) -> None:
    """Check every page. Raises Refused; of a large ledger's damage `on_damage` hears, from a thread, later."""
    if file.stat().st_size <= SMALL_BYTES:
        if is_damaged(file):
            raise Refused(_ways_out(file))
        return
    Thread(target=_look, args=(file, on_damage), name="ledger-check", daemon=True).start()


def _look(file: Path, on_damage: Callable[[], None]) -> None:
    if is_damaged(file):
        log.error(_ways_out(file))
        on_damage()


def _ways_out(file: Path) -> str:
    return (
        f"{file} is damaged, as a check after an unclean stop has found: stop every Tidestone on this data_dir and run "
        "`tidestone repair --rebuild`, which makes it anew from the collections' commit records, or restore a backup."
    )
