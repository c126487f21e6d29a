"""Remove the files that no kept generation needs, some time after nothing needs them any more."""

import os
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path

from sqlalchemy import Connection

from service.core.retention import Terms, retained
from service.engine.lease import boot_id
from service.engine.settings import EngineSettings
from service.engine.state import stored
from service.failpoints import reach
from service.index.files import StoredFile, sync_folder, verify
from service.ledger import collections, garbage, segments
from service.ledger import retained as retained_rows
from service.ledger.database import AnyRow, utc_now
from service.ledger.garbage import Seen
from service.maintenance.backup import clear_dead
from service.maintenance.work import Result, Work


def seen_now() -> Seen:
    """This boot of the machine, and how long it has been running: what is set back or ahead is another clock."""
    return boot_id(), time.monotonic()


def run(work: Work, now: Callable[[], Seen] = seen_now) -> Result:
    """Remove what has waited long enough, then note what has become unneeded. Raises Corrupt.

    In this order, so that every file is seen unneeded by two collections at least.
    """
    holding = work.holding
    clear_dead(holding.settings.data_dir)
    removed = _remove(work, now())
    _read_back(work)
    with holding.lease.write() as c:
        row = collections.by_id(c, holding.state.id)
        terms = terms_of(c, row, holding.settings)
        retained_rows.keep_only(c, row, retained(retained_rows.points(c, row.id), terms))
        garbage.note(c, row.id, retained_rows.drop_spans(c, row.id), now())
        noted = garbage.note_segments(c, row.id, now())
        reach("collect.noting")
        garbage.see_again(c, row.id, now())
    reach("collect.noted")
    return {"files_removed": len(removed), "bytes_removed": sum(removed.values()), "segments_unneeded": noted}


def terms_of(c: Connection, collection: AnyRow, settings: EngineSettings) -> Terms:
    """What is to be kept. Days count back from the newest checkpoint: what rests does not lose its history."""
    newest = segments.newest_checkpoint(c, collection.id)
    now = utc_now()  # before which a clock that was ahead does not count
    end = datetime.fromisoformat(now if newest is None else min(newest.at, now))
    since = end - timedelta(days=settings.retain_days)
    return Terms(
        jobs=settings.retain_jobs,
        since=since.isoformat(timespec="microseconds"),
        newest=settings.retain_checkpoints,
        published=collection.published_generation,
    )


def is_due(row: AnyRow, grace_seconds: float, now: Seen) -> bool:
    """Whether a file has been unneeded for long enough, as this boot of the machine has seen itself."""
    return bool(row.boot == now[0] and now[1] - row.boot_seconds >= grace_seconds)


def _remove(work: Work, now: Seen) -> Mapping[str, int]:
    """Nothing that is noted is ever needed again, so even the hand of somebody who has lost the lease does no harm."""
    holding = work.holding
    grace_seconds = holding.settings.gc_grace_seconds
    with holding.ledger.read() as c:
        waiting = garbage.listing(c, holding.state.id)
    return remove(work, [row.file for row in waiting if is_due(row, grace_seconds, now)])


def remove(work: Work, files: Sequence[str]) -> Mapping[str, int]:
    """Remove these of the files that wait; what was removed, with its size."""
    holding = work.holding
    folder = holding.state.folder
    with holding.ledger.read() as c:
        needed = segments.needed_files(c, holding.state.id)
    due = [name for name in files if name not in needed]
    removed: dict[str, int] = {}
    for name in due:
        work.check()
        removed[name] = _unlink(folder / name)
        reach("collect.removed")
    if not due:
        return removed
    sync_folder(folder / "segments")
    # Files before rows: a crash in between leaves names of files that are gone, which the next one forgets.
    with holding.lease.write() as c:
        garbage.forget(c, holding.state.id, due)
    reach("collect.forgotten")
    return removed


def _unlink(path: Path) -> int:
    try:
        size = path.stat().st_size
        path.unlink()
    except FileNotFoundError:  # a collection that was killed has removed it
        return 0
    return size


def _read_back(work: Work) -> None:
    """Hash what merges have written, from the disk, before what they read may go. Raises Corrupt."""
    holding = work.holding
    with holding.ledger.read() as c:
        unread = [row for row in segments.live(c, holding.state.id) if row.verified_at is None]
    for row in unread:
        work.check()
        for file in (stored(row.faiss), stored(row.chunks)):
            _drop_from_memory(holding.state.folder, file)
            verify(holding.state.folder, file)
        with holding.lease.write() as c:
            segments.change(c, holding.state.id, row.segment_id, verified_at=utc_now())


def _drop_from_memory(folder: Path, file: StoredFile) -> None:
    """So that it is the disk that is read. A file that is not there is for `verify` to tell."""
    try:
        descriptor = os.open(folder / file.name, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return
    try:
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
    finally:
        os.close(descriptor)
