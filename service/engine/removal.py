"""Documents whose files have vanished leave the collection."""

from collections.abc import Container, Iterable, Iterator

from service.core import pace
from service.engine.draft import Batch, DocumentChange, Outcome, Place
from service.engine.known_file import KnownFile
from service.ledger.database import AnyRow
from service.ledger.documents import GONE


def removals(found: Iterable[tuple[AnyRow, KnownFile]], back: Container[int]) -> Iterator[Batch]:
    """Batches, each to be committed before the next, that retire these delete items' files, save those `back`.

    An item is settled with its file's last document.
    """
    batch = Batch()
    for item, file in found:
        if item.id in back:  # the job may have been paused since its listing
            batch.outcomes.append(Outcome(item.id, "skipped", "came_back"))
            continue
        for document in _documents(file):
            _remove(batch, document)
            if len(batch.documents) >= pace.MOST_CHANGES:
                yield batch
                batch = Batch()
        batch.outcomes.append(Outcome(item.id, "done"))
    yield batch


def _documents(file: KnownFile) -> Iterator[AnyRow]:
    """The file itself last: while it is known, a listing finds what is left of its records."""
    yield from file.records()
    if file.whole is not None and file.whole.state not in GONE:
        yield file.whole


def _remove(batch: Batch, document: AnyRow) -> None:
    if document.version_id is not None:
        batch.retired.append(document.version_id)
    if document.state != "container":
        batch.count("deleted")
    place = Place(document.folder, document.name, document.record, document.key)
    values = {"state": "deleted", "version_id": None, "chunks": 0, "stamp": "", "content_sha256": ""}
    batch.documents.append(DocumentChange(place, document.doc_id, values))
