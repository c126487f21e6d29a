"""Read what strace has recorded: every system call that changes files or makes changes durable, in order."""

import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

CALLS = (
    *("open", "openat", "openat2", "creat", "write", "pwrite64", "writev", "pwritev", "pwritev2"),
    *("sendfile", "copy_file_range", "splice", "fallocate", "ftruncate", "truncate", "mmap"),
    *("rename", "renameat", "renameat2", "link", "linkat", "symlink", "symlinkat", "unlink", "unlinkat"),
    *("mkdir", "mkdirat", "rmdir", "fsync", "fdatasync", "msync", "sync_file_range", "sync", "syncfs"),
)
_LINE = re.compile(r"(\d+) +(\w+)\((.*)\) += (-?\d+|0x[0-9a-f]+|\?)(.*)")
_UNFINISHED = re.compile(r"(\d+) +(\w+)\((.*) <unfinished \.\.\.>")
_RESUMED = re.compile(r"(\d+) +<\.\.\. (\w+) resumed>(.*)")
_FD = re.compile(r"(?:\d+|AT_FDCWD)<([^>]*)>(\(deleted\))?")
_BY_NAME = {"open", "openat", "creat", "truncate", "rename", "renameat", "renameat2", "link", "linkat"}
_BY_NAME |= {"symlink", "symlinkat", "unlink", "unlinkat", "mkdir", "mkdirat", "rmdir"}
SQLITE = "sqlite"  # who syncs where no Python code says so
HOLLOW = ("-shm", ".reserve")  # files that hold nothing that could be lost: the model knows nothing of them
_HARMLESS = {"symlink", "symlinkat"}  # of what is recorded only so that nothing escapes


@dataclass(frozen=True, slots=True)
class Event:
    """One change, one sync, or one thing that was told; `began`: the number of the first event after its call began."""

    number: int
    kind: str  # create, write, truncate, rename, link, unlink, mkdir, sync, told
    path: str
    data: bytes = b""
    offset: int | None = None  # of a write, None: at the end; of a truncation: the size
    other: str = ""  # the new path
    began: int = 0
    site: str = ""  # who asked for a sync; what was told


@dataclass(frozen=True, slots=True)
class _Call:
    task: int
    name: str
    arguments: str
    began: int


def read(lines: Iterable[str], root: Path) -> list[Event]:
    """The events at and below `root`. Raises ValueError on a call there whose effect the model does not know."""
    return _Reader(root).read(lines)


class _Reader:
    def __init__(self, root: Path) -> None:
        self._root = str(root)
        self._hex = "".join(f"\\x{byte:02x}" for byte in os.fsencode(root))
        self._events: list[Event] = []
        self._sites: dict[int, str] = {}

    def read(self, lines: Iterable[str]) -> list[Event]:
        for call in self._calls(lines):
            if self._hex in call.arguments:
                self._take(call)
        return self._events

    def _calls(self, lines: Iterable[str]) -> Iterator[_Call]:
        """Calls that succeeded, at their ends; a call within which its process was killed has none."""
        begun: dict[int, tuple[str, int]] = {}
        for line in lines:
            if match := _UNFINISHED.match(line):
                begun[int(match[1])] = (match[3], len(self._events))
                continue
            began = len(self._events)
            if match := _RESUMED.match(line):
                first, began = begun.pop(int(match[1]))
                line = f"{match[1]} {match[2]}({first}{match[3]}"
            if (match := _LINE.match(line)) and not match[4].startswith("-"):
                yield _Call(int(match[1]), match[2], match[3], began)

    def _take(self, call: _Call) -> None:
        paths, rest, deleted = _paths(call)
        if deleted or not paths or not paths[0].startswith(self._root) or paths[0].endswith(HOLLOW):
            return
        path = paths[0]
        match call.name:
            case "open" | "openat" | "creat":
                self._open(path, call)
            case "write" | "pwrite64":
                self._write(path, call, rest)
            case "ftruncate":
                self._add("truncate", path, offset=int(rest[-1]))
            case "rename" | "renameat" | "renameat2" | "link" | "linkat":
                self._add(call.name.removesuffix("2").removesuffix("at"), path, other=paths[1])
            case "unlink" | "unlinkat" | "mkdir" | "mkdirat" | "rmdir":
                kind = call.name.removesuffix("at")
                self._add("unlink" if kind == "rmdir" else kind, path)
            case "fsync" | "fdatasync":
                site = self._sites.pop(call.task, SQLITE)
                self._add("sync", path, began=call.began, site=site)
            case "mmap":
                if "MAP_SHARED" in call.arguments and "PROT_WRITE" in call.arguments:
                    raise ValueError(f"written through a map: {path}")
            case _ if call.name not in _HARMLESS:
                raise ValueError(f"the model does not know {call.name} ({path})")

    def _open(self, path: str, call: _Call) -> None:
        if "O_TMPFILE" in call.arguments:
            raise ValueError(f"the model knows no files without names: {path}")
        if "O_CREAT" in call.arguments or call.name == "creat":
            self._add("create", path)
        if "O_TRUNC" in call.arguments or call.name == "creat":
            self._add("truncate", path, offset=0)

    def _write(self, path: str, call: _Call, rest: list[str]) -> None:
        data = bytes.fromhex(re.findall(r'"([^"]*)"', call.arguments)[0].replace("\\x", ""))
        if path.endswith("/told"):
            for line in data.decode().splitlines():
                self._hear(path, call.task, line)
            return
        self._add("write", path, data=data, offset=int(rest[-1]) if call.name == "pwrite64" else None)

    def _hear(self, path: str, task: int, line: str) -> None:
        """A line of the file that the recorded process tells things to."""
        word, _, text = line.partition(" ")
        if word == "site":
            self._sites[task] = text
        else:
            self._add("told", path, site=line)

    def _add(self, kind: str, path: str, **values: object) -> None:
        values.setdefault("began", len(self._events))
        self._events.append(Event(len(self._events), kind, path, **values))  # type: ignore[arg-type]


def _paths(call: _Call) -> tuple[list[str], list[str], bool]:
    """The absolute paths that a call names, its other arguments, and whether its file had no name any more."""
    paths: list[str] = []
    rest: list[str] = []
    folder, deleted = "", False
    for argument in call.arguments.split(", "):
        if match := _FD.fullmatch(argument):
            folder, deleted = _text(match[1]), deleted or bool(match[2])
            if call.name not in _BY_NAME:
                paths.append(folder)
        elif argument.startswith('"') and call.name in _BY_NAME:
            paths.append(os.path.join(folder, _text(argument.strip('"'))))
        else:
            rest.append(argument)
    return paths, rest, deleted


def _text(hexed: str) -> str:
    return os.fsdecode(bytes.fromhex(hexed.replace("\\x", "")))
