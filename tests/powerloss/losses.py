"""The ways in which a power cut loses what was not synced."""

import random
from collections.abc import Sequence

from tests.powerloss.disk import File, Loss, Naming, Write

SECTOR_BYTES = 512  # what a disk writes in one step
_GOES_ON = 0.8  # chance that one change of names more has been done


def _all(file: File) -> bytes:
    return _with(file, file.pending)


def _none(file: File) -> bytes:
    return bytes(file.synced)


def _with(file: File, writes: Sequence[Write]) -> bytes:
    content = bytearray(file.synced)
    for write in writes:
        write.apply(content)
    return bytes(content)


def _sizes_only(file: File) -> bytes:
    """As delayed allocation does: the file has its length, and zeros where nothing was written before."""
    return bytes(file.synced[: file.size]).ljust(file.size, b"\0")


def _torn(file: File) -> bytes:
    """The newest write has reached the disk in part."""
    if not file.pending:
        return _none(file)
    *before, last = file.pending
    if last.data is not None:
        middle = len(last.data) // 2
        half = middle - middle % SECTOR_BYTES or middle
        before.append(Write(last.number, last.offset, last.data[:half]))
    return _with(file, before)


NOTHING_KEPT = Loss("all that is unsynced is lost", lambda _: (), _none)
BYTES_LOST = Loss("names without bytes", lambda names: names, _none)
NAMES_LOST = Loss("bytes without names", lambda _: (), _all)
ZEROS = Loss("names and sizes without bytes", lambda names: names, _sizes_only)
TORN = Loss("the last write is torn", lambda names: names, _torn)
# Two that tear a move between folders apart, which no disk does: for what makes no such move.
FIRST_NAME_LOST = Loss("the oldest change of each folder's names is lost", lambda names: names[1:], _all)
NEWEST_NAME_KEPT = Loss(
    "only the newest change of each folder's names is kept", lambda names: names[-1:], _all
)
ALL_KEPT = Loss("nothing is lost", lambda names: names, _all)
SURE = (NOTHING_KEPT, BYTES_LOST, NAMES_LOST, ZEROS, TORN, ALL_KEPT)


def scattered(seed: int) -> Loss:
    """Any sectors and any names are kept, as a disk that reorders may do; the same ones for the same seed."""
    chance = random.Random(seed)
    kept, moved = chance.random(), {}

    def names(pending: Sequence[Naming]) -> Sequence[Naming]:
        for naming in pending:
            moved.setdefault(naming.number, chance.random() < kept)
        return [naming for naming in pending if moved[naming.number]]

    def content(file: File) -> bytes:
        return _with(
            file, [part for write in file.pending for part in _sectors(write) if chance.random() < kept]
        )

    return Loss(f"scattered by seed {seed}", names, content)


def in_order(seed: int) -> Loss:
    """Some of what is pending was done, in order, up to any point; of names and of every file by itself."""
    chance = random.Random(seed)
    until: dict[int, bool] = {}

    def names(pending: Sequence[Naming]) -> Sequence[Naming]:
        for naming in pending:
            until.setdefault(naming.number, chance.random() < _GOES_ON)
        stop = next((at for at, naming in enumerate(pending) if not until[naming.number]), len(pending))
        return pending[:stop]

    def content(file: File) -> bytes:
        return _with(file, file.pending[: chance.randint(0, len(file.pending))])

    return Loss(f"in order by seed {seed}", names, content)


def _sectors(write: Write) -> Sequence[Write]:
    if write.data is None:
        return [write]
    end, parts, at = write.offset + len(write.data), [], write.offset
    while at < end:
        to = min(end, at - at % SECTOR_BYTES + SECTOR_BYTES)
        parts.append(Write(write.number, at, write.data[at - write.offset : to - write.offset]))
        at = to
    return parts
