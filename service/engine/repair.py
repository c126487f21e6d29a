"""Take a damaged segment out of use: only what it held is done again."""

from collections.abc import Sequence

from service.engine.commit import Committer
from service.engine.draft import Batch, DocumentChange, Place
from service.engine.owner import Owner
from service.engine.state import CollectionState, Segment
from service.index.files import sync_folder
from service.ledger import documents, events, items, jobs
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
        documents=[_pending_again(version) for version in lost] + _containers_of(ledger, lost),
    )
    state.segments = [segment for segment in state.segments if segment not in damaged]
    # Items first: after a crash in between they are added twice, which costs a look; the other order loses them.
    _queue_again(ledger, owner, lost)
    committer.commit(batch, owner, damaged)
    for segment in damaged:
        _put_aside(state, segment)
    with ledger.write() as c:
        names = [segment.faiss.name for segment in damaged]
        said = {"segments": names, "documents": len(lost)}
        events.record(c, "segment_damaged", said, collection_id=state.id)


def _is_in(version: AnyRow, damaged: Sequence[Segment]) -> bool:
    return any(
        version.first_batch <= segment.last_batch and segment.first_batch <= version.last_batch
        for segment in damaged
    )


def _pending_again(version: AnyRow) -> DocumentChange:
    place = Place(version.folder, version.name, version.record, version.key)
    values = {"state": "pending", "version_id": None, "chunks": 0, "content_sha256": "", **_UNREAD}
    return DocumentChange(place, version.doc_id, values)


def _containers_of(ledger: Ledger, lost: Sequence[AnyRow]) -> list[DocumentChange]:
    """The files whose records are lost: the next listing must look into them again."""
    files = sorted({(v.source_id, v.folder, v.name) for v in lost if v.record})
    with ledger.read() as c:
        rows = [documents.of_file(c, *file).get("") for file in files]
    return [
        DocumentChange(Place(row.folder, row.name, "", row.key), row.doc_id, dict(_UNREAD))
        for row in rows
        if row is not None
    ]


def _put_aside(state: CollectionState, segment: Segment) -> None:
    for file in (segment.faiss, segment.chunks, segment.live):
        path = state.folder / file.name if file is not None else None
        if path is not None and path.exists():
            path.rename(state.folder / "quarantine" / path.name)
    sync_folder(state.folder / "segments")
    sync_folder(state.folder / "quarantine")


def _queue_again(ledger: Ledger, owner: Owner, lost: Sequence[AnyRow]) -> None:
    """A job whose listing is complete would not look at these files again: give it their items."""
    mine = [version for version in lost if version.source_id == owner.source_id]
    files = sorted({(version.folder, version.name) for version in mine})
    with ledger.write() as c:
        job = jobs.get(c, owner.job_id)
        if job.total is None or not files:
            return
        rows = [{"folder": folder, "name": name, "stamp": ""} for folder, name in files]
        items.add(c, owner.job_id, "upsert", rows)
        jobs.note(c, owner.job_id, total=job.total + len(rows), discovered=job.discovered + len(rows))
