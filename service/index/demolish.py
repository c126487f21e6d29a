"""Remove a collection's folder, through a descriptor of it: never one that has come to bear its name since."""

import os
import stat
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

from service.errors import Refused
from service.failpoints import reach
from service.index.collection_file import NAME as IDENTITY
from service.index.collection_file import problem_in
from service.index.files import sync_folder
from service.index.manifest import NAME as MANIFEST

LOCKS = ("publish.lock", "writer.lock")
_OPEN_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def remove_folder(
    root: Path, collection_id: str, store_id: str, is_proven: bool, pulse: Callable[[], None]
) -> int:
    """Remove the folder; returns the bytes of its files. May be begun again after a crash anywhere.

    The manifest goes first: from then on nobody opens half of a collection. What says whose the folder is goes after
    everything else. `is_proven`: something else than that proves it. `pulse` is called for every file and may raise.
    Raises Refused where the folder is another's, or cannot be told.
    """
    try:
        folder = os.open(root, _OPEN_FOLDER)
    except FileNotFoundError:
        return 0
    except NotADirectoryError as error:  # O_NOFOLLOW: what a link stands for may be named elsewhere too
        raise Refused(
            f"{root} is a link, or no folder: what it stands for is not removed. Remove both yourself, and delete the "
            "collection again."
        ) from error
    try:
        _refuse_anothers(root, folder, collection_id, store_id, is_proven)
        _unlink(folder, MANIFEST)
        os.fsync(folder)
        reach("drop.unpublished")
        freed = _empty(folder, pulse, but=(IDENTITY, *LOCKS))
        os.fsync(folder)
        reach("drop.emptied")
        for name in (IDENTITY, *LOCKS):  # the writer's lock last: whoever gets it takes its holder for dead
            _unlink(folder, name)
        _remove_empty(root, folder)
    finally:
        os.close(folder)
    sync_folder(root.parent)
    reach("drop.removed")
    return freed


def _refuse_anothers(root: Path, folder: int, collection_id: str, store_id: str, is_proven: bool) -> None:
    found = _read(folder, IDENTITY)
    if found is not None and (problem := problem_in(root, found, collection_id, store_id)):
        raise Refused(problem)
    if found is None and not is_proven and set(os.listdir(folder)) - set(LOCKS):
        raise Refused(
            f"{root / IDENTITY} is missing, and nothing else in the folder proves that it is this ledger's: "
            "move the folder away, and delete the collection again."
        )


def _read(folder: int, name: str) -> bytes | None:
    try:
        descriptor = os.open(name, os.O_RDONLY | os.O_CLOEXEC, dir_fd=folder)
    except FileNotFoundError:
        return None
    with os.fdopen(descriptor, "rb") as file:
        return file.read()


def _empty(folder: int, pulse: Callable[[], None], but: tuple[str, ...] = ()) -> int:
    freed = 0
    for name in _names(folder):
        if name in but:
            continue
        pulse()
        facts = os.stat(name, dir_fd=folder, follow_symlinks=False)
        if stat.S_ISDIR(facts.st_mode):
            freed += _remove_below(folder, name, pulse)
        else:
            freed += facts.st_size
            _unlink(folder, name)
    return freed


def _remove_below(folder: int, name: str, pulse: Callable[[], None]) -> int:
    below = os.open(name, _OPEN_FOLDER, dir_fd=folder)
    try:
        freed = _empty(below, pulse)
    finally:
        os.close(below)
    with suppress(FileNotFoundError):
        os.rmdir(name, dir_fd=folder)
    return freed


def _names(folder: int) -> Iterator[str]:
    yield from sorted(os.listdir(folder))


def _unlink(folder: int, name: str) -> None:
    with suppress(FileNotFoundError):
        os.unlink(name, dir_fd=folder)


def _remove_empty(root: Path, folder: int) -> None:
    """The name itself, while it still stands for this folder; one with something in it stays in any case."""
    with suppress(FileNotFoundError):
        if os.path.samestat(os.fstat(folder), os.stat(root)):
            os.rmdir(root)
