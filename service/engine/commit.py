"""The commit protocol: reserve, write files, one ledger transaction, publish."""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from sqlalchemy import Connection

from service.engine import record
from service.engine.contents import contents_of
from service.engine.draft import Batch
from service.engine.lease import Lease
from service.engine.masks import holds_unfinished, new_masks
from service.engine.owner import Owner
from service.engine.publish import publish
from service.engine.state import CollectionState, Segment
from service.engine.written import NOTHING_REPLACED, Change, Replaced, Written
from service.failpoints import reach
from service.index.commit_record import CommitRecord, encode, write_record
from service.index.files import sync_folder
from service.index.live import write_live
from service.index.manifest import describe
from service.index.records import Mask, SegmentId, live_name
from service.index.segment import write_segment
from service.ledger import collections, segments, versions
from service.ledger.database import AnyRow, Ledger, utc_now


class Committer:
    """Makes batches true, one at a time, under one lease.

    After an exception the lease must be let go: what was written bears its token, and the next holder's
    recovery removes it. Nothing is ever retried under the same token.
    """

    def __init__(self, ledger: Ledger, lease: Lease, state: CollectionState) -> None:
        self.lease = lease
        self._ledger, self._state = ledger, state

    def commit(
        self,
        batch: Batch,
        owner: Owner,
        replaced: Replaced = NOTHING_REPLACED,
        also: Callable[[Connection], None] = lambda _: None,
        **job_changes: Any,
    ) -> int:
        """Commit a batch and return its generation. Raises LeaseLost, TryAgain, Corrupt.

        `replaced` segments change places in the same step; `also` takes part in its transaction.
        """
        state = self._state
        kind = "repair" if replaced.damaged else batch.kind
        written = Written(state.generation + 1, state.batch, kind, utc_now(), time.monotonic())
        written.closed += replaced.damaged
        written.opened += replaced.by
        segment_id = self._reserve(batch)
        # Files before ledger: a crash in between leaves orphans that bear a reserved number and a fenced
        # token, which the next holder removes. The other order would leave a ledger that names missing files.
        self._write(batch, segment_id, written)
        write_commit_record(state, self.lease.token, written, owner, record.batch_json(batch, owner))
        reach("ledger.before")
        with self.lease.write() as c:
            record.commit(c, state, batch, written, owner, job_changes)
            also(c)
        reach("ledger.after")
        written.adopt_into(state)
        state.documents += len(batch.finished) - len(batch.retired)
        for draft in batch.unfinished:
            draft.first_batch = draft.first_batch or written.batch
            draft.last_batch, draft.is_new = written.batch, False
        publish(self._ledger, self.lease, state)
        return state.generation

    def reserve_segment(self) -> SegmentId:
        """A name for a segment that is written beside a batch; spent whatever becomes of it."""
        with self.lease.write() as c:
            return SegmentId(segments.reserve(c, self._state.id, self.lease.token), self.lease.token)

    def _reserve(self, batch: Batch) -> int | None:
        """Numbers for what is new: versions, documents, the segment; spent even if the commit fails."""
        reach("reserve.before")
        with self.lease.write() as c:
            _number_versions(c, self._state.id, batch)
            _number_documents(c, self._state.id, batch)
            segment_id = segments.reserve(c, self._state.id, self.lease.token) if batch.rows else None
        reach("reserve.after")
        return segment_id

    def _write(self, batch: Batch, segment_id: int | None, written: Written) -> None:
        if segment_id is not None:
            written.batch += 1
            written.opened.append(self._write_segment(batch, segment_id, written))
        with self._ledger.read() as c:
            retired = [versions.by_id(c, self._state.id, version_id) for version_id in batch.retired]
            unfinished = versions.unfinished(c, self._state.id)
        batch.abandoned += _outlived(batch, unfinished)
        gone = {draft.version_id for draft in batch.finished} | set(batch.abandoned)
        waiting = [version for version in unfinished if version.version_id not in gone]
        for segment, alive in new_masks(self._state, batch, retired):
            self._write_change(segment, alive, waiting, written)
        if written.opened or written.changed:
            sync_folder(self._state.folder / "segments")

    def _write_segment(self, batch: Batch, segment_id: int, written: Written) -> Segment:
        name = SegmentId(segment_id, self.lease.token)
        metric = "cosine" if self._state.space.normalised else "l2"
        files = write_segment(self._state.folder, name, self._state.id, metric, contents_of(batch.rows))
        finished = {id(draft) for draft in batch.finished}
        alive = np.array([id(row.draft) in finished for row in batch.rows], dtype=np.bool_)
        live = None
        if not alive.all():
            live = write_live(self._state.folder, self._live_name(segment_id, written), alive)
        return Segment(
            segment_id=segment_id,
            token=self.lease.token,
            first_batch=written.batch,
            last_batch=written.batch,
            rows=len(alive),
            live_rows=int(alive.sum()),
            faiss=files.vectors,
            chunks=files.chunks,
            live=live,
            verified=True,
            alive=alive,
        )

    def _write_change(self, segment: Segment, alive: Mask, waiting: list[AnyRow], written: Written) -> None:
        if not alive.any() and not holds_unfinished(segment, waiting):
            written.closed.append(segment)
            return
        live = None
        if not alive.all():
            name = self._live_name(segment.segment_id, written)
            live = write_live(self._state.folder, name, alive)
        written.changed.append(Change(segment, alive, live))

    def _live_name(self, segment_id: int, written: Written) -> str:
        return live_name(segment_id, written.generation, self.lease.token)


def write_commit_record(
    state: CollectionState, token: int, written: Written, owner: Owner, said: Mapping[str, Any]
) -> None:
    """Write the record of a commit whose files are all there; `said`: what it says of documents."""
    begins = {} if state.parent else {"space": describe(state.space)}  # the first one says it for all
    commit_record = CommitRecord(
        collection_id=state.id,
        store_id=state.store_id,
        generation=written.generation,
        token=token,
        parent=state.parent,
        kind=written.kind,
        batch=written.batch,
        at=written.at,
        job=owner.job_id or None,
        source={"id": owner.source_id} if owner.source_id else None,
        **{"versions_added": [], "versions_retired": [], "documents": [], **begins, **said},
        **written.as_record(),
    )
    written.record = write_record(state.folder, commit_record)
    written.record_bytes = encode(commit_record)


def _outlived(batch: Batch, unfinished: Sequence[AnyRow]) -> list[int]:
    """Unfinished versions of documents that this batch settles in another way: nobody will finish them."""
    settled = {draft.doc_id for draft in batch.finished} | {change.doc_id for change in batch.documents}
    taken = {draft.version_id for draft in (*batch.finished, *batch.unfinished)} | set(batch.abandoned)
    taken |= set(batch.in_hand)
    return [v.version_id for v in unfinished if v.doc_id in settled and v.version_id not in taken]


def _number_versions(c: Connection, collection_id: str, batch: Batch) -> None:
    new = [draft for draft in (*batch.finished, *batch.unfinished) if draft.version_id is None]
    first = collections.reserve(c, collection_id, "next_version_id", len(new))
    for number, draft in enumerate(new, first):
        draft.version_id = number


def _number_documents(c: Connection, collection_id: str, batch: Batch) -> None:
    drafts = [draft for draft in (*batch.finished, *batch.unfinished) if draft.doc_id is None]
    others = [document for document in batch.documents if document.doc_id is None]
    number = collections.reserve(c, collection_id, "next_doc_id", len(drafts) + len(others))
    for draft in drafts:
        draft.doc_id, draft.is_new = number, True
        number += 1
    for document in others:
        document.doc_id, document.is_new = number, True
        number += 1
