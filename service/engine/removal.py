"""Documents whose files have vanished leave the collection."""

from collections.abc import Container, Sequence

from sqlalchemy import Connection

from service.engine.draft import Batch, DocumentChange, Outcome, Place
from service.ledger import documents
from service.ledger.database import AnyRow


def removal_of(
    c: Connection, source_id: int, found: Sequence[AnyRow], back: Container[int], most: int
) -> Batch:
    """A batch that retires up to `most` documents of these delete items' files, save those that came `back`.

    An item is settled with its file's last document.
    """
    batch = Batch()
    for item in found:
        if item.id in back:  # the job may have been paused since its listing
            batch.outcomes.append(Outcome(item.id, "skipped", "came_back"))
            continue
        room = most - len(batch.documents)
        known = _known(c, source_id, item)
        for document in known[:room]:
            _remove(batch, document)
        if len(known) > room:
            break
        batch.outcomes.append(Outcome(item.id, "done"))
    return batch


def _known(c: Connection, source_id: int, item: AnyRow) -> list[AnyRow]:
    """The file's own row last: while it is known, a listing finds what is left of its records."""
    rows = documents.of_file(c, source_id, item.folder, item.name).values()
    return sorted((row for row in rows if row.state != "deleted"), key=lambda row: row.record == "")


def _remove(batch: Batch, document: AnyRow) -> None:
    if document.version_id is not None:
        batch.retired.append(document.version_id)
    if document.state != "container":
        batch.count("deleted")
    place = Place(document.folder, document.name, document.record, document.key)
    values = {"state": "deleted", "version_id": None, "chunks": 0, "stamp": "", "content_sha256": ""}
    batch.documents.append(DocumentChange(place, document.doc_id, values))
