"""Documents whose files have vanished leave the collection."""

from collections.abc import Sequence

from sqlalchemy import Connection

from service.engine.draft import Batch, DocumentChange, Outcome, Place
from service.ledger import documents
from service.ledger.database import AnyRow
from service.ports import Source


def removal_of(c: Connection, source_id: int, found: Sequence[AnyRow], source: Source) -> Batch:
    """A batch that retires every document of these delete items' files, save those that have come back."""
    batch = Batch()
    for item in found:
        if source.locate(item.folder, item.name).exists():  # the job may have been paused since its listing
            batch.outcomes.append(Outcome(item.id, "skipped", "came_back"))
            continue
        for document in documents.of_file(c, source_id, item.folder, item.name).values():
            if document.state != "deleted":
                _remove(batch, document)
        batch.outcomes.append(Outcome(item.id, "done"))
    return batch


def _remove(batch: Batch, document: AnyRow) -> None:
    if document.version_id is not None:
        batch.retired.append(document.version_id)
    if document.state != "container":
        batch.count("deleted")
    place = Place(document.folder, document.name, document.record, document.key)
    values = {"state": "deleted", "version_id": None, "chunks": 0, "stamp": "", "content_sha256": ""}
    batch.documents.append(DocumentChange(place, document.doc_id, values))
