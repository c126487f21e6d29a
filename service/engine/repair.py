"""Take a damaged segment out of use: only what it held is done again."""

from collections.abc import Sequence

from sqlalchemy import Connection

from service.core.keys import file_of
from service.engine.commit import Committer
from service.engine.draft import Batch, DocumentChange, Place
from service.engine.owner import Owner
from service.engine.state import CollectionState, Segment
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
) -> None:
    """Retire what the damaged segments held, put their files aside, and queue these documents again."""
    with ledger.read() as c:
        lost = [v for v in documents.live_versions(c, state.id) if _is_in(v, damaged)]
        unfinished = [v for v in documents.unfinished_versions(c, state.id) if _is_in(v, damaged)]
    batch = Batch(
        retired=[version.version_id for version in lost],
        abandoned=[version.version_id for version in unfinished],
        documents=[_pending_again(version) for version in lost] + _containers_of(ledger, state.id, lost),
    )
    state.segments = [segment for segment in state.segments if segment not in damaged]
    # Items first: what a crash in between leaves is one item too many; the other order would lose them.
    reach("repair.before")
    _queue_again(ledger, state.id, lost)
    reach("repair.queued")
    # Files before ledger: a segment that is missing is a damaged one, so a crash in between begins this again. The
    # other order would leave damaged files among the sound ones, and nobody would look for them any more.
    for segment in damaged:
        _put_aside(state, segment)
    said = {"segments": [segment.faiss.name for segment in damaged], "documents": len(lost)}

    def say_so(c: Connection) -> None:
        events.record(c, "segment_damaged", said, collection_id=state.id)
        metrics.add(c, "ingest_restores_total", 1, outcome="repaired")

    committer.commit(batch, owner, damaged, say_so)
    reach("repair.after")


def _is_in(version: AnyRow, damaged: Sequence[Segment]) -> bool:
    return any(
        version.first_batch <= segment.last_batch and segment.first_batch <= version.last_batch
        for segment in damaged
    )


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
    for file in (segment.faiss, segment.chunks, segment.live, segment.codes):
        if file is not None and (state.folder / file.name).exists():
            put_aside(state.folder, file.name)


def _queue_again(ledger: Ledger, collection_id: str, lost: Sequence[AnyRow]) -> None:
    """A job whose listing is complete would not look at these files again: give it their items."""
    for source_id in sorted({version.source_id for version in lost}):
        mine = [version for version in lost if version.source_id == source_id]
        files = sorted({(version.folder, version.name) for version in mine})
        with ledger.write() as c:
            job = jobs.unfinished_of(c, collection_id, source_id)
            if job is None or job.total is None:
                continue
            # Two items of one file in one job would make two versions of it; one that is to be removed is gone.
            waiting = items.open_files(c, job.id)
            rows = [{"folder": f, "name": n, "stamp": ""} for f, n in files if (f, n) not in waiting]
            items.add(c, job.id, "upsert", rows)
            jobs.note(c, job.id, total=job.total + len(rows), discovered=job.discovered + len(rows))
