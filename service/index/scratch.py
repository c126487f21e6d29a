"""The folder in which large merges are made before they are part of the collection."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fcntl import LOCK_EX, LOCK_NB, flock
from pathlib import Path

from service.failpoints import reach
from service.index.files import make_folder

FOLDER = "scratch"
LOCK = "merger.lock"


@dataclass(frozen=True, slots=True)
class ScratchId:
    """A merge in the making, by a random name."""

    name: str
    number: int = 0  # it gets one when it becomes part of the collection

    @property
    def vectors(self) -> str:
        return f"{FOLDER}/{self.name}.faiss"

    @property
    def chunks(self) -> str:
        return f"{FOLDER}/{self.name}.chunks"

    @property
    def codes(self) -> str:
        return f"{FOLDER}/{self.name}.codes"

    @property
    def kept(self) -> str:
        """Which rows of its inputs were kept, one after the other."""
        return f"{FOLDER}/{self.name}.kept"


@contextmanager
def only_merger(root: Path) -> Iterator[bool]:
    """Whether this process may make a merge for the collection: one at a time, on any number of machines."""
    make_folder(root / FOLDER)
    descriptor = os.open(root / FOLDER / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        flock(descriptor, LOCK_EX | LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        yield False
        return
    try:
        yield True
    finally:
        os.close(descriptor)


def clear(root: Path) -> None:
    """Remove what mergers have left behind; only while no other can be at work, and nothing refers to it."""
    for path in (root / FOLDER).iterdir():
        if path.name != LOCK:
            path.unlink(missing_ok=True)


def discard(root: Path, merge: ScratchId) -> None:
    """Remove what is left of one merge."""
    for name in (merge.vectors, merge.chunks, merge.codes, merge.kept):
        (root / name).unlink(missing_ok=True)


def move_into_place(root: Path, scratch: str, name: str) -> None:
    """Give a durable file of the scratch folder its name in the collection; its folder is not synced.

    Raises FileNotFoundError, and FileExistsError: nothing is ever replaced, since names carry a reserved number and
    the holder's token.
    """
    if (root / name).exists():
        raise FileExistsError(root / name)
    reach("scratch.unmoved")
    (root / scratch).rename(root / name)
    reach("scratch.moved")
