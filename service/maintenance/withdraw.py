"""Take a document out of the collection for good, with a file its records, and prove that it is out."""

from collections.abc import Iterator
from itertools import chain

from sqlalchemy import Connection

from service.core import pace
from service.engine.draft import Batch, DocumentChange, Place
from service.engine.holding import Holding
from service.engine.known_file import KnownFile
from service.engine.owner import MAINTENANCE
from service.ledger import documents, items, jobs
from service.ledger.database import AnyRow
from service.maintenance.proof import document_ids, former_vectors, is_out
from service.maintenance.publishing import publish_for_certain
from service.maintenance.work import Result, Work

WITHDRAWN = "withdrawn"
ALONE, WITH_ITS_FILE = "asked", "with_its_file"  # why a document is withdrawn


def run(work: Work) -> Result:
    """Retire what is visible of the document and what is unfinished; it stays out until it is asked for again."""
    holding, key = work.holding, work.options["key"]
    vectors = former_vectors(holding, document_ids(holding, key))
    for batch in _batches(holding, key):
        work.check()
        holding.committer.commit(batch, MAINTENANCE, also=lambda c: _skip_items(c, holding.state.id, key))
    publish_for_certain(work)
    generation = holding.state.generation
    verified = is_out(holding.state.folder, key, generation, vectors)
    return {"verified": verified, "generation": generation, "searched": len(vectors)}


def _batches(holding: Holding, key: str) -> Iterator[Batch]:
    """The document itself first: from then on no job lets any of its records in."""
    with holding.ledger.read() as c:
        whole = documents.by_key(c, holding.state.id, key)
    if whole is None:
        return
    batch = Batch(kind="withdraw")
    records = KnownFile(holding.ledger, holding.state.id, key, whole).records()
    for document in chain([whole] if whole.state != WITHDRAWN else [], records):
        _take_out(batch, document, ALONE if document.key == key else WITH_ITS_FILE)
        if len(batch.documents) >= pace.MOST_CHANGES:
            yield batch
            batch = Batch(kind="withdraw")
    if batch:
        yield batch


def _take_out(batch: Batch, document: AnyRow, reason: str) -> None:
    if document.version_id is not None:
        batch.retired.append(document.version_id)
    nothing = {"version_id": None, "chunks": 0, "stamp": "", "file_sha256": "", "content_sha256": ""}
    values = {"state": WITHDRAWN, "reason": reason, "detail": None, **nothing}
    place = Place(document.folder, document.name, document.record, document.key)
    batch.documents.append(DocumentChange(place, document.doc_id, values))


def _skip_items(c: Connection, collection_id: str, key: str) -> None:
    """No unfinished job is to read the file again; of a record's file the other records still count."""
    document = documents.by_key(c, collection_id, key)
    if document is None or document.record:
        return
    for job in jobs.unfinished_in(c, collection_id):
        if job.source_id == document.source_id:
            skipped = items.skip_file(c, job.id, document.folder, document.name, WITHDRAWN)
            jobs.count(c, job.id, WITHDRAWN, {"skipped": skipped})
