"""Room that is kept for what must be possible on a full disk: pause, resume, cancel, and a worker's last words."""

import errno
import os
import shutil
from pathlib import Path

NAME = "tidestone.reserve"
RESERVE_BYTES = 8 << 20
MARGIN_BYTES = 8 << 20  # that must be free beside it before it is taken again
_FULL = {errno.ENOSPC, errno.EDQUOT}


class Reserve:
    """A file that holds nothing but its place beside the ledger."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / NAME

    def keep(self) -> bool:
        """Take the room if it is not taken and the disk can spare it; whether it is taken now."""
        try:
            if self._path.exists():
                if self._path.stat().st_size >= RESERVE_BYTES:
                    return True
                self._path.unlink()  # a power cut has left the name without its place
            if shutil.disk_usage(self._path.parent).free < RESERVE_BYTES + MARGIN_BYTES:
                return False
            self._take()
        except OSError:
            return False  # a disk that does not take it now; a later look may find it better
        return True

    def wanting_bytes(self) -> int:
        """How many bytes must be free for `keep` to take the room; 0 when it is taken."""
        return 0 if self._path.exists() else RESERVE_BYTES + MARGIN_BYTES

    def give_up(self) -> bool:
        """Let the room go; False when there was none."""
        try:
            self._path.unlink()
        except OSError:
            return False
        return True

    def _take(self) -> None:
        descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
        try:
            os.posix_fallocate(descriptor, 0, RESERVE_BYTES)
        except OSError:
            self._path.unlink()
            raise
        finally:
            os.close(descriptor)
