"""Take damaged segments out of use: only what nothing else holds is done again."""

from collections.abc import Sequence
from contextlib import closing
from typing import Any

from sqlalchemy import Connection

from service.core.keys import file_of
from service.engine import rescue
from service.engine.commit import Committer
from service.engine.draft import Batch, DocumentChange, Place
from service.engine.giving_up import broken_spans, give_up
from service.engine.lease import Lease
from service.engine.owner import Owner
from service.engine.recover import is_whole
from service.engine.state import CollectionState, Segment
from service.engine.written import Replaced
from service.failpoints import reach
from service.index.files import put_aside
from service.ledger import documents, events, items, jobs, metrics
from service.ledger.database import AnyRow, Ledger

_UNREAD = {"stamp": "", "file_sha256": ""}


def take_out(
    ledger: Ledger,
    committer: Committer,
    state: CollectionState,
    owner: Owner,
    damaged: Sequence[Segment],
) -> dict[str, Any]:
    """Put what other files hold of damaged segments into new ones, retire the rest, and queue its documents again.

    Earlier generations that cannot be without what is damaged are given up. Returns what was done, in numbers.
    Raises LeaseLost, TryAgain, Corrupt.
    """
    with closing(rescue.plan(ledger, state, damaged)) as plan:
        lost = plan.lost
        batch = Batch(
            retired=[version.version_id for version in lost],
            abandoned=[version.version_id for version in plan.unfinished],
            documents=do_again(ledger, committer.lease, lost),
        )
        state.segments = [segment for segment in state.segments if segment not in damaged]
        new = rescue.write(committer, state, plan)
    # Files before ledger: a segment that is missing is a damaged one, so a crash in between begins this again. The
    # other order would leave damaged files among the sound ones, and nobody would look for them any more.
    for segment in damaged:
        _put_aside(state, segment)
    names = [segment.faiss.name for segment in damaged]
    said = {"segments": names, "documents": len(lost), "rescued": plan.rescued, "generations": 0}
    broken = broken_spans(ledger, state, {segment.segment_id for segment in damaged})

    def say_so(c: Connection) -> None:
        said["generations"] = give_up(c, state.id, broken)
        events.record(c, "segment_damaged", said, collection_id=state.id)
        metrics.add(c, "ingest_restores_total", 1, outcome="repaired")

    committer.commit(batch, owner, Replaced(damaged, new), say_so)
    reach("repair.after")
    return said


def do_again(ledger: Ledger, lease: Lease, lost: Sequence[AnyRow]) -> list[DocumentChange]:
    """Queue the documents of these versions (or document rows) again; what the commit that retires them says of them."""
    # Items first: what a crash in between leaves is one item too many; the other order would lose them.
    reach("repair.before")
    _queue_again(lease, lost)
    reach("repair.queued")
    return [_pending_again(version) for version in lost] + _containers_of(ledger, lease.collection_id, lost)


def _pending_again(version: AnyRow) -> DocumentChange:
    place = Place(version.folder, version.name, version.record, version.key)
    values = {"state": "pending", "version_id": None, "chunks": 0, "content_sha256": "", **_UNREAD}
    return DocumentChange(place, version.doc_id, values)


def _containers_of(ledger: Ledger, collection_id: str, lost: Sequence[AnyRow]) -> list[DocumentChange]:
    """The files whose records are lost: the next listing must look into them again."""
    files = sorted({file_of(version.key) for version in lost if version.record})
    with ledger.read() as c:
        rows = documents.of_files(c, collection_id, files).values()
    return [
        DocumentChange(Place(row.folder, row.name, "", row.key), row.doc_id, dict(_UNREAD)) for row in rows
    ]


def _put_aside(state: CollectionState, segment: Segment) -> None:
    """The whole segment, or only its live file where that alone is damaged: older generations may need the rest."""
    rows_are_whole = is_whole(state, segment.faiss) and is_whole(state, segment.chunks)
    for file in (segment.faiss, segment.chunks, segment.live, segment.codes):
        if file is None or not (state.folder / file.name).exists():
            continue
        if not rows_are_whole or not is_whole(state, file):
            put_aside(state.folder, file.name)


def _queue_again(lease: Lease, lost: Sequence[AnyRow]) -> None:
    """A job whose listing is complete would not look at these files again: give it their items."""
    for source_id in sorted({version.source_id for version in lost}):
        mine = [version for version in lost if version.source_id == source_id]
        files = sorted({(version.folder, version.name) for version in mine})
        with lease.write() as c:
            job = jobs.unfinished_of(c, lease.collection_id, source_id)
            if job is None or job.total is None:
                continue
            # Two items of one file in one job would make two versions of it; one that is to be removed is gone.
            waiting = items.open_files(c, job.id)
            rows = [{"folder": f, "name": n, "stamp": ""} for f, n in files if (f, n) not in waiting]
            items.add(c, job.id, items.UPSERT, rows)
            jobs.note(c, job.id, total=job.total + len(rows), discovered=job.discovered + len(rows))
