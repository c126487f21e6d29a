"""The switch to what is prepared in another space: one commit."""

import hashlib
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection

from service.core.space import Space
from service.engine import record
from service.engine.commit import write_commit_record
from service.engine.holding import Holding
from service.engine.owner import Owner
from service.engine.publish import publish
from service.engine.state import Segment, stored
from service.engine.written import Written
from service.errors import Corrupt
from service.failpoints import reach
from service.index import manifest
from service.index.chunkfile import ChunkFile
from service.index.files import put_aside, sync_folder, verify
from service.index.live import write_live
from service.index.records import Mask, live_name
from service.ledger import documents, events, jobs, preparations, segments, spaces, versions
from service.ledger.database import AnyRow, utc_now

Json = dict[str, Any]


@dataclass
class Switch:
    """Replaces every live segment by the prepared ones; what the old space has stays on the disk, pinned."""

    holding: Holding
    job: AnyRow
    owner: Owner
    space: Space
    weights: str
    opened: list[Segment] = field(default_factory=list)
    hashes: dict[int, list[tuple[int, bytes]]] = field(default_factory=dict)  # recut version -> its chunks'

    def run(self) -> bool:
        """Make the switch; False where a prepared file is damaged: what it held is to be prepared again.

        Every visible version must be prepared. Raises LeaseLost, TryAgain.
        """
        state, ledger = self.holding.state, self.holding.ledger
        with ledger.read() as c:
            visible = preparations.visible(c, state.id, self.job.id)
            prepared = preparations.segments_of(c, state.id, self.job.id)
        broken = [row for row in prepared if not self._is_whole(row)]
        if broken:
            self._give_up(broken)
            return False
        census = _Census(visible)
        self.hashes = {row.recut_id: [] for row in visible if row.recut_id is not None}
        for row in prepared:
            self._open(row, census)
        sync_folder(state.folder / "segments")
        self._commit([row for row in visible if row.recut_id is not None or row.reason is not None])
        publish(ledger, self.holding.lease, state)
        return True

    def _is_whole(self, row: AnyRow) -> bool:
        try:
            for file in (row.faiss, row.chunks):
                verify(self.holding.state.folder, stored(file))
        except Corrupt:
            return False
        return True

    def _give_up(self, broken: Sequence[AnyRow]) -> None:
        """Files aside first: what a crash in between leaves is found missing by the next try."""
        state = self.holding.state
        for row in broken:
            for file in (row.faiss, row.chunks):
                if (state.folder / file["name"]).exists():
                    put_aside(state.folder, file["name"])
        with self.holding.lease.write() as c:
            for row in broken:
                preparations.give_up_segment(c, state.id, self.job.id, row.segment_id)
            said = {"segments": [row.faiss["name"] for row in broken]}
            events.record(c, "segment_damaged", said, collection_id=state.id)

    def _open(self, row: AnyRow, census: "_Census") -> None:
        """A prepared segment as it will be: which of its rows are alive."""
        state = self.holding.state
        with ChunkFile(state.folder / row.chunks["name"]) as chunks:
            alive = census.alive(row.segment_id, np.array(chunks.versions_of_rows(), np.int64))
            for recut_id, hashes in self.hashes.items():
                rows = chunks.rows_of_version(recut_id)
                hashes += [(found.chunk.ordinal, found.text_hash) for found in rows if alive[found.row]]
        if not alive.any():
            return
        live = None
        if not alive.all():
            name = live_name(row.segment_id, state.generation + 1, self.holding.lease.token)
            live = write_live(state.folder, name, alive)
        self.opened.append(
            Segment(
                segment_id=row.segment_id,
                token=row.token,
                first_batch=row.first_batch,
                last_batch=row.last_batch,
                rows=row.rows,
                live_rows=int(alive.sum()),
                faiss=stored(row.faiss),
                chunks=stored(row.chunks),
                live=live,
                verified=True,
                alive=alive,
            )
        )

    def _commit(self, special: Sequence[AnyRow]) -> None:
        """`special`: visible versions that are recut, or cannot be embedded."""
        state, ledger, lease = self.holding.state, self.holding.ledger, self.holding.lease
        with ledger.read() as c:
            known = [(row, *preparations.document_of(c, state.id, row.version_id)) for row in special]
        written = Written(state.generation + 1, state.batch, "reindex", utc_now(), time.monotonic())
        written.opened += self.opened
        written.closed += state.segments
        changes = [self._change(row, document, written) for row, _, document in known]
        recut = [(row, version, doc) for row, version, doc in known if row.reason is None]
        lost = [row.version_id for row in special if row.reason is not None]
        said = {
            "versions_added": [self._version_json(*one) for one in recut],
            "versions_retired": [{"version": row.version_id} for row in special],
            "documents": [
                {"doc_id": doc.doc_id, **_place(doc), **values}
                for (row, _, doc), values in zip(known, changes, strict=True)
                if row.reason is not None
            ],
            "space": manifest.describe(self.space),
        }
        write_commit_record(state, lease.token, written, self.owner, said)
        reach("ledger.before")
        with lease.write() as c:
            record.checkpoint(c, state, written, self.owner, state.documents - len(lost), settled=0)
            self._say(c, written)
            keys = [{"the_collection": state.id, "the_doc": doc.doc_id} for _, _, doc in known]
            documents.save(c, [], [{**v, **key} for v, key in zip(changes, keys, strict=True)])
            versions.save(c, [self._version(*one) for one in recut], [])
            versions.close_spans(c, state.id, [row.version_id for row in special], written.generation)
            versions.open_spans(c, state.id, [row.recut_id for row, *_ in recut], written.generation)
        reach("ledger.after")
        written.adopt_into(state)
        state.documents -= len(lost)
        state.space = self.space

    def _say(self, c: Connection, written: Written) -> None:
        """What a switch alone does: another space, the old one pinned, nothing prepared any more."""
        state = self.holding.state
        preparations.abandon_unfinished(c, state.id)
        segments.pin(c, state.id, state.generation, True)
        preparations.drop(c, state.id, self.job.id)
        spaces.begin(c, state.id, written.generation, asdict(self.space), self.weights, self.job.id)
        newest = {"generation": written.generation, "at": written.at, "sha256": written.record.sha256}
        jobs.note(c, self.job.id, "checkpoint", checkpoint={**newest, "batch": written.batch}, losses=0)

    def _change(self, row: AnyRow, document: AnyRow, written: Written) -> Json:
        """New values of the document of a version that is recut or lost."""
        said: Json = {"version_id": row.recut_id, "chunks": row.chunks}
        if row.reason is not None:
            said = {"version_id": None, "chunks": 0, "content_sha256": ""}
            said |= {"state": "failed", "reason": row.reason, "detail": row.detail}
        return {**said, "generation": written.generation, "updated_at": written.at}

    def _version(self, row: AnyRow, version: AnyRow, document: AnyRow) -> Json:
        kept = ("collection_id", "doc_id", "content_sha256", "recipe", "first_batch", "last_batch")
        said = {name: getattr(version, name) for name in kept}
        new = {"version_id": row.recut_id, "state": "complete", "chunks": row.chunks}
        return {**said, **new, "prefix_sha256": self._prefix(row.recut_id)}

    def _version_json(self, row: AnyRow, version: AnyRow, document: AnyRow) -> Json:
        """As the records of other commits describe a version."""
        names = ("title", "described_sha256", "stamp", "file_sha256", "content_sha256", "recipe", "bytes")
        said = {"version": row.recut_id, "doc_id": document.doc_id, **_place(document)}
        said |= {name: getattr(document, name) for name in names}
        said |= {"first_batch": version.first_batch, "last_batch": version.last_batch}
        return {**said, "chunks": row.chunks, "prefix_sha256": self._prefix(row.recut_id), "finished": True}

    def _prefix(self, recut_id: int) -> str:
        """The running hash of its chunk texts."""
        return hashlib.sha256(b"".join(digest for _, digest in sorted(self.hashes[recut_id]))).hexdigest()


class _Census:
    """The versions that will be visible, as columns: there may be a million."""

    def __init__(self, visible: Sequence[AnyRow]) -> None:
        rows = sorted(
            (row.recut_id or row.version_id, row.first_segment or 0, row.last_segment or -1)
            for row in visible
            if row.reason is None
        )
        self._columns: NDArray[np.int64] = np.array(rows, np.int64).reshape(-1, 3)

    def alive(self, segment_id: int, versions: NDArray[np.int64]) -> Mask:
        """Which rows, given by their versions, are alive: a version begun anew has dead rows in older segments."""
        numbers, first, last = self._columns.T
        places = np.minimum(np.searchsorted(numbers, versions), max(len(numbers) - 1, 0))
        if not len(numbers):
            return np.zeros(len(versions), np.bool_)
        alive: Mask = numbers[places] == versions
        alive &= (first[places] <= segment_id) & (segment_id <= last[places])
        return alive


def _place(document: AnyRow) -> Mapping[str, str]:
    return {name: getattr(document, name) for name in ("key", "folder", "name", "record")}
