"""Which of the system's errors a job waits out, and what a person can do about them."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager

from service.errors import TryAgain

_WAITS = {
    errno.ENOSPC: ("disk_low", "make room on that disk"),
    errno.EDQUOT: ("disk_low", "make room, or raise the quota"),
    errno.EIO: ("io_error", "see to that disk"),
    errno.EROFS: ("not_writable", "mount it for writing again"),
    errno.EMFILE: ("too_many_files", "raise this process's limit of open files"),
    errno.ENFILE: ("too_many_files", "raise this machine's limit of open files"),
}


def passing(error: Exception) -> TryAgain | None:
    """What to wait for; None where waiting would not help."""
    if not isinstance(error, OSError) or error.errno not in _WAITS:
        return None
    code, help_ = _WAITS[error.errno]
    return TryAgain(code, f"{error}: {help_}")


@contextmanager
def told() -> Iterator[None]:
    """Raises TryAgain in place of the system's errors that pass."""
    try:
        yield
    except OSError as error:
        if (why := passing(error)) is not None:
            raise why from error
        raise
