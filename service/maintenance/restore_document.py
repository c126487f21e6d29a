"""Let a withdrawn document in again: the next job reads its file anew."""

from collections.abc import Iterator

from service.core import pace
from service.core.keys import file_of
from service.engine.draft import Batch, DocumentChange, Place
from service.engine.holding import Holding
from service.engine.owner import MAINTENANCE
from service.ledger import documents
from service.ledger.database import AnyRow
from service.maintenance.publishing import publish_for_certain
from service.maintenance.withdraw import WITH_ITS_FILE, WITHDRAWN
from service.maintenance.work import Result, Work

_UNREAD = {"stamp": "", "file_sha256": ""}


def run(work: Work) -> Result:
    """The document is pending; records that were withdrawn with their file come back with it, others do not."""
    holding, key = work.holding, work.options["key"]
    for batch in _batches(holding, key):
        work.check()
        holding.committer.commit(batch, MAINTENANCE)
    publish_for_certain(work)
    return {"generation": holding.state.generation}


def _batches(holding: Holding, key: str) -> Iterator[Batch]:
    """A file last: while it is withdrawn no job reads it, and finds records that are not pending yet."""
    with holding.ledger.read() as c:
        document = documents.by_key(c, holding.state.id, key)
        file = documents.by_key(c, holding.state.id, file_of(key))
    if document is None or document.state != WITHDRAWN:
        return
    batch = Batch(kind="restore")
    for record in _records(holding, key):
        batch.documents.append(_change(record, {"state": "pending", "reason": None}))
        if len(batch.documents) >= pace.MOST_CHANGES:
            yield batch
            batch = Batch(kind="restore")
    vanished = file is None or file.state == "deleted"
    state = "deleted" if document.record and vanished else "pending"
    batch.documents.append(_change(document, {"state": state, "reason": None, **_UNREAD}))
    if document.record and file is not None:
        batch.documents.append(_change(file, dict(_UNREAD)))
    yield batch


def _records(holding: Holding, key: str) -> Iterator[AnyRow]:
    last = ""
    while True:
        with holding.ledger.read() as c:
            page = documents.records_of(c, holding.state.id, key, last)
        yield from (row for row in page if (row.state, row.reason) == (WITHDRAWN, WITH_ITS_FILE))
        if not page:
            return
        last = page[-1].key


def _change(row: AnyRow, values: dict[str, str | None]) -> DocumentChange:
    return DocumentChange(Place(row.folder, row.name, row.record, row.key), row.doc_id, values)
