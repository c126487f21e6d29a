"""Keys: the names of documents, the same on every machine."""

import re

# Escaped in paths, so that a key's first "#" always separates a file from a record in it. A percent sign that could
# not be mistaken for an escape stays as it is.
_ESCAPED = re.compile("#|%(?=2[35])")
_ESCAPE = re.compile("%2[35]")


def file_key(root: str, folder: str, name: str) -> str:
    """The key of a library file: named root and relative path; "#" in them is written "%23"."""
    path = "/".join(part for part in (root, folder, name) if part)
    return _ESCAPED.sub(lambda found: f"%{ord(found[0]):X}", path)


def root_of(key: str) -> str:
    """The root in whose name a file's key, or a record's, begins."""
    root = key.partition("/")[0]
    return _ESCAPE.sub(lambda found: chr(int(found[0][1:], 16)), root)


def record_key(file: str, record: str) -> str:
    """The key of a record in the file with the key `file`; of the file itself where `record` is ""."""
    return f"{file}#{record}" if record else file


def file_of(key: str) -> str:
    """The key of the file that holds a record."""
    return key.partition("#")[0]


def range_of_records(file: str) -> tuple[str, str]:
    """The half-open range, by code points, in which the keys of all records of a file lie, and no other key."""
    return f"{file}#", f"{file}$"
