"""Make large merges outside the lease, in a child that may be killed at any time, and order their taking in."""

import logging
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event
from typing import Any
from uuid import uuid4

from sqlalchemy import Connection

from service.children import Child, PipeClosed, spawn
from service.core.merging import LiveSegment, choose_large
from service.core.upkeep import Kind
from service.engine.masks import holds_unfinished
from service.engine.settings import EngineSettings
from service.engine.state import Segment, as_json, segment_of
from service.errors import TryAgain
from service.index import scratch
from service.ledger import collections, segments, tasks, versions
from service.ledger.database import AnyRow, Ledger

LOOK_SECONDS = 5.0
AGAIN_SECONDS = 600.0  # after a merge that was not made: a file is damaged, or memory does not suffice
_POLL_SECONDS = 0.2

Order = Mapping[str, Any]
Answer = Mapping[str, Any] | None  # None: it was stopped, or its child died

log = logging.getLogger("tidestone.merger")


@dataclass
class Merger:
    """One per process that works; holds no lease, and changes nothing that counts."""

    ledger: Ledger
    settings: EngineSettings
    make: Callable[[Order, Event], Answer]
    _not_before: dict[str, float] = field(default_factory=dict)  # collection id -> monotonic

    def run(self, stop: Event) -> None:
        """Look for work until `stop` is set."""
        while not stop.wait(LOOK_SECONDS):
            try:
                while self.look(stop) and not stop.is_set():
                    pass
            except (
                TryAgain,
                OSError,
            ) as error:  # a busy ledger, a full disk: a later look may find it better
                log.warning("nothing can be merged now: %s", error)

    def look(self, stop: Event) -> bool:
        """Make the first merge that is worth it, and order its taking in; whether one was made."""
        with self.ledger.read() as c:
            found = collections.listing(c)
        due = [row for row in found if row.state == "active" and self._is_due(row)]
        return any(self.merge_one(row, stop) is not None for row in due)

    def _is_due(self, collection: AnyRow) -> bool:
        """Whether the last merge that failed was long ago: the next one reads, and perhaps writes, as much again."""
        return time.monotonic() >= self._not_before.get(collection.id, 0.0)

    def merge_one(self, collection: AnyRow, stop: Event) -> AnyRow | None:
        """The task that takes in a merge of this collection, made just now; None: there was nothing to do."""
        with self.ledger.read() as c:
            run = self._choose(c, collection.id)
        folder = self.settings.folder(collection.name)
        if not run or not (folder / "segments").is_dir():
            return None
        with scratch.only_merger(folder) as alone:
            if not alone:
                return None
            with self.ledger.read() as c:  # what another merger has just ordered does not count twice
                run = self._choose(c, collection.id)
            if not run or not self._has_room(run):
                return None
            scratch.clear(folder)
            return self._make(collection, folder, run, stop)

    def _choose(self, c: Connection, collection_id: str) -> list[Segment]:
        if tasks.is_ordered(c, collection_id, Kind.COMPACT):
            return []
        live = [segment_of(row) for row in segments.live(c, collection_id)]
        unfinished = versions.unfinished(c, collection_id)
        described = [self._described(segment, unfinished) for segment in live]
        run = choose_large(described, self.settings.merged_rows)
        return [] if run is None else live[run.start : run.stop]

    def _described(self, segment: Segment, unfinished: Sequence[AnyRow]) -> LiveSegment:
        return LiveSegment(
            segment.first_batch,
            segment.last_batch,
            segment.rows,
            segment.live_rows,
            segment.size_bytes,
            not holds_unfinished(segment, unfinished),
            segment.codes is None and segment.live_rows >= self.settings.approximate_above,
        )

    def _has_room(self, run: list[Segment]) -> bool:
        """Whether the disk takes a second copy of the inputs, and codes, and has enough left."""
        copy = sum(segment.size_bytes for segment in run)
        codes = copy // 8  # at most: half a byte for a number of four
        wanted = copy + codes + self.settings.min_free_bytes
        return shutil.disk_usage(self.settings.data_dir).free >= wanted

    def _make(self, collection: AnyRow, folder: Path, run: list[Segment], stop: Event) -> AnyRow | None:
        name = uuid4().hex
        order = {
            "root": str(folder),
            "name": name,
            "collection_id": collection.id,
            "metric": "cosine" if collection.space["normalised"] else "l2",
            "dimensions": collection.space["dimensions"],
            "approximate_above": self.settings.approximate_above,
            "inputs": [_input(segment) for segment in run],
        }
        made = self.make(order, stop)
        if made is None or "error" in made:
            self._not_before[collection.id] = time.monotonic() + AGAIN_SECONDS
            scratch.clear(folder)
            self._say(collection, made)
            return None
        read = [segment.chunks.sha256 for segment in run]
        inputs = [segment.segment_id for segment in run]
        options = {"scratch": name, "inputs": inputs, "read": read, "made": dict(made)}
        with self.ledger.write() as c:
            return tasks.create(c, collection, Kind.COMPACT, options)

    def _say(self, collection: AnyRow, made: Answer) -> None:
        if made is None:
            return
        log.warning("a merge of %s could not be made: %s", collection.name, made["error"]["message"])
        if made["error"]["code"] == "Corrupt":
            path = Path(made["error"]["path"])
            with self.ledger.write() as c:
                segments.suspect(c, collection.id, f"{path.parent.name}/{path.name}")


def in_child(order: Order, stop: Event) -> Answer:
    """Have the merge made by a child process; it is killed when `stop` is set."""
    child: Child = spawn("service.index.merge_child")
    try:
        child.send(order)
        while not stop.is_set() and not child.answers_within(_POLL_SECONDS):
            pass
        if stop.is_set():
            return None
        answer, _ = child.receive()
    except PipeClosed:
        log.warning("a merging child ended without an answer")
        return None
    finally:
        child.reap()
    return answer


def _input(segment: Segment) -> dict[str, Any]:
    files = {"faiss": segment.faiss, "chunks": segment.chunks, "live": segment.live}
    return {"rows": segment.rows, **{kind: as_json(file) for kind, file in files.items()}}
