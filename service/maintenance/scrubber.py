"""Read every file of every collection again and again, slowly: a disk that rots is found before the data is wanted."""

import hashlib
import logging
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Event

from sqlalchemy import Connection

from service.engine.settings import EngineSettings
from service.engine.state import stored
from service.errors import TryAgain
from service.index.files import UNREADABLE, StoredFile
from service.ledger import collections, events, metrics, segments
from service.ledger.database import AnyRow, Ledger, utc_now

LOOK_SECONDS = 30.0
DAYS = 7.0  # after which a file's last reading is too old
_BLOCK_BYTES = 1 << 20

log = logging.getLogger("tidestone.scrubber")


class Stopped(Exception):
    """The process is to end."""


@dataclass
class Scrubber:
    """One per process that works; it takes no lease, and changes nothing but what is known of a segment."""

    ledger: Ledger
    settings: EngineSettings
    wait: Callable[[float], None] = time.sleep

    def run(self, stop: Event) -> None:
        """Read what is due until `stop` is set."""

        def wait(seconds: float) -> None:
            if stop.wait(seconds):
                raise Stopped

        self.wait = wait
        while not stop.wait(LOOK_SECONDS):
            try:
                while self.scrub_one():
                    pass
            except TryAgain as error:  # the next look will do
                log.warning("nothing can be scrubbed now: %s", error)
            except Stopped:
                return

    def scrub_one(self) -> bool:
        """Read the segment whose last reading is the oldest, if that is old enough; False where none is."""
        with self.ledger.read() as c:
            due = self._oldest(c)
            if due is None:
                return False
            row, collection = due
            lives = [
                stored(span.live) for span in segments.spans_of(c, collection.id, row.segment_id) if span.live
            ]
        folder = self.settings.folder(collection.name)
        files = [stored(file) for file in (row.faiss, row.chunks, row.codes) if file] + lives
        damaged = [problem for file in files if (problem := self._problem(collection.id, folder, file))]
        with self.ledger.write() as c:
            self._note(c, collection, row, damaged)
        return True

    def _oldest(self, c: Connection) -> tuple[AnyRow, AnyRow] | None:
        now = utc_now()
        horizon = (datetime.now(UTC) - timedelta(days=DAYS)).isoformat(timespec="microseconds")
        found = [
            (row.verified_at or "", row, collection)
            for collection in collections.listing(c)
            if collection.state == "active"
            for row in segments.with_files(c, collection.id)
            # A reading in the future was told by a clock that has been set back since.
            if not row.suspect and not horizon <= (row.verified_at or "") <= now
        ]
        oldest = min(found, key=lambda each: each[0], default=None)
        return None if oldest is None else oldest[1:]

    def _problem(self, collection_id: str, folder: Path, file: StoredFile) -> str:
        """What is wrong with a file, "" if nothing; one that was collected meanwhile is no problem of the disk.

        Raises TryAgain where it is this process that cannot read now.
        """
        digest = hashlib.sha256()
        try:
            for block in self._blocks(folder / file.name):
                digest.update(block)
        except FileNotFoundError:
            return "" if not self._is_wanted(collection_id, file) else f"{file.name} is missing"
        except OSError as error:
            if error.errno not in UNREADABLE:
                raise TryAgain("unreadable", str(error)) from error
            return f"{file.name}: {error}"
        is_sound = digest.hexdigest() == file.sha256 or not self._is_wanted(collection_id, file)
        return "" if is_sound else f"{file.name} is damaged"

    def _is_wanted(self, collection_id: str, file: StoredFile) -> bool:
        """Whether the ledger still names it: collections of garbage, purges and repairs go on beside this."""
        with self.ledger.read() as c:
            return file.name in segments.known_files(c, collection_id)

    def _blocks(self, path: Path) -> Iterator[bytes]:
        """From the disk, not from memory, and no faster than is allowed."""
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
            while block := os.read(descriptor, _BLOCK_BYTES):
                yield block
                self.wait(len(block) / self.settings.scrub_bytes_per_second)
        finally:
            os.close(descriptor)

    def _note(self, c: Connection, collection: AnyRow, row: AnyRow, damaged: list[str]) -> None:
        metrics.add(c, "ingest_scrubbed_segments_total", 1, outcome="damaged" if damaged else "sound")
        if not damaged:
            segments.change(c, collection.id, row.segment_id, verified_at=utc_now())
            return
        log.error("%s: %s; `tidestone repair` mends it", collection.name, "; ".join(damaged))
        # The next holder of the lease looks into it first.
        segments.change(c, collection.id, row.segment_id, suspect=True)
        said = {"segment": row.segment_id, "problems": damaged}
        events.record(c, "scrub_found_damage", said, collection_id=collection.id)
