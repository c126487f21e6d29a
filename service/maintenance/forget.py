"""The ledger forgets a purged document: its versions, and all of it but its key and that it was purged."""

from collections.abc import Iterator, Sequence
from functools import partial

from service.core import pace
from service.engine.draft import Batch, DocumentChange, Place
from service.engine.holding import Holding
from service.engine.owner import MAINTENANCE
from service.ledger import documents, versions
from service.ledger.database import AnyRow
from service.ledger.documents import PURGED
from service.maintenance.work import Work


def forget(work: Work, key: str) -> None:
    """Commit by commit; after a crash what is forgotten is passed over."""
    holding = work.holding
    for rows in _pages(holding, key):
        work.check()
        batch = Batch(kind="purge")
        ids = [row.doc_id for row in rows]
        values = {"detail": PURGED, "title": None, "described_sha256": "", "bytes": 0}
        for row in rows:
            place = Place(row.folder, row.name, row.record, row.key)
            batch.documents.append(DocumentChange(place, row.doc_id, dict(values)))
        forgotten = partial(versions.forget, collection_id=holding.state.id, doc_ids=ids)
        holding.committer.commit(batch, MAINTENANCE, also=forgotten)


def _pages(holding: Holding, key: str) -> Iterator[Sequence[AnyRow]]:
    """The document itself, then its records, deleted ones too: all their versions are forgotten."""
    last = ""
    with holding.ledger.read() as c:
        whole = documents.by_key(c, holding.state.id, key)
    if whole is not None and whole.detail != PURGED:
        yield [whole]
    while True:
        with holding.ledger.read() as c:
            page = documents.records_of(c, holding.state.id, key, last, pace.MOST_CHANGES)
        if not page:
            return
        last = page[-1].key
        if some := [row for row in page if row.detail != PURGED]:
            yield some
