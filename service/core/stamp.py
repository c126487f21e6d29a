"""A stamp says whether a file may have changed since it was last read."""

import os

YOUNG_SECONDS = 2.0  # a file written this recently may change again within its time stamp's resolution


def stamp_of(stat: os.stat_result) -> str:
    """Size, mtime, ctime (nanoseconds) and inode as one comparable string."""
    return f"{stat.st_size}:{stat.st_mtime_ns}:{stat.st_ctime_ns}:{stat.st_ino}"


def stamp_once_settled(stat: os.stat_result, now_seconds: float) -> str:
    """The stamp to remember after a read at `now_seconds` (Unix time); "" means: read it again next time."""
    young = now_seconds - stat.st_mtime < YOUNG_SECONDS
    return "" if young else stamp_of(stat)


def size_in(stamp: str) -> int:
    """The size in bytes that a stamp carries."""
    return int(stamp.split(":", 1)[0])


def settled_stamp(stamp: str, now_seconds: float) -> str:
    """As `stamp_once_settled`, from a stamp taken before."""
    mtime_ns = int(stamp.split(":")[1]) if stamp else 0
    return stamp if now_seconds - mtime_ns / 1e9 >= YOUNG_SECONDS else ""
