"""Which files and folders of a tree are wanted."""

import re
from collections.abc import Sequence
from fnmatch import translate

_WILD = re.compile(r"[*?\[/]")


class Wanted:
    """Glob patterns over names and relative paths: `include` is about files, `exclude` about folders too."""

    def __init__(self, include: Sequence[str], exclude: Sequence[str]) -> None:
        # Plain names are looked up, not matched: there are several by default, and every file is asked about.
        self._never = frozenset(pattern for pattern in exclude if not _WILD.search(pattern))
        self._exclude = _any_of([pattern for pattern in exclude if _WILD.search(pattern)])
        self._include = _any_of(include)

    def folder(self, path: str, name: str) -> bool:
        """Whether the folder `name` in the folder `path` ("" is the root) is to be listed."""
        return name not in self._never and not _matches(self._exclude, path, name)

    def file(self, path: str, name: str) -> bool:
        """Whether the file `name` in the folder `path` is to be taken."""
        if name in self._never or _matches(self._exclude, path, name):
            return False
        return self._include is None or _matches(self._include, path, name)


def _any_of(patterns: Sequence[str]) -> "re.Pattern[str] | None":
    return re.compile("|".join(map(translate, patterns))) if patterns else None


def _matches(pattern: "re.Pattern[str] | None", path: str, name: str) -> bool:
    if pattern is None:
        return False
    whole = f"{path}/{name}" if path else name
    return pattern.match(name) is not None or pattern.match(whole) is not None
