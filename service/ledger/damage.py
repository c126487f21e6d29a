"""Whether SQLite's word of a damaged file is to be believed."""

import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path


def is_damaged(file: Path) -> bool:
    """Whether a second look finds it too: SQLite calls a block that the disk does not give out damage as well."""
    return not _is_sound(file) and _can_be_read(file)


def _is_sound(file: Path) -> bool:
    try:
        with closing(sqlite3.connect(f"{file.resolve().as_uri()}?mode=ro", uri=True)) as connection:
            return bool(connection.execute("PRAGMA quick_check(1)").fetchone() == ("ok",))
    except sqlite3.Error:
        return False


def _can_be_read(file: Path) -> bool:
    # By another process: a descriptor of the file that is closed in this one would take SQLite's locks with it.
    log = file.with_name(f"{file.name}-wal")
    names = [str(each) for each in (file, log) if each.exists()]
    done = subprocess.run(
        ["cat", "--", *names], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False
    )
    return done.returncode == 0
