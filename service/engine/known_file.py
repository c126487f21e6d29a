"""What the ledger knows of a file and of the records in it: of very many, a page is in memory at a time."""

from collections.abc import Iterator

from service.core.keys import record_key
from service.ledger import documents
from service.ledger.database import AnyRow, Ledger
from service.ledger.documents import GONE

_FEW_RECORDS = 1_000


class KnownFile:
    """As of when the file was claimed; afterwards only the holder of the lease changes anything of it."""

    def __init__(self, ledger: Ledger, collection_id: str, key: str, whole: AnyRow | None) -> None:
        """`whole`: the file's own row, without which the ledger has none of its records either."""
        self.key, self.whole = key, whole
        self._ledger, self._collection_id = ledger, collection_id
        self._few: dict[str, AnyRow] = {}  # all of its records, unless they are many
        self._counted = self._many = False

    def get(self, record: str) -> AnyRow | None:
        """The document of a record, deleted or not; of the file itself for ""."""
        if record == "" or self.whole is None:
            return None if record else self.whole
        if not self._counted:
            page = self._page("", _FEW_RECORDS + 1)
            self._counted, self._many = True, len(page) > _FEW_RECORDS
            self._few = {} if self._many else {row.record: row for row in page}
        if not self._many:
            return self._few.get(record)
        with self._ledger.read() as c:
            return documents.by_key(c, self._collection_id, record_key(self.key, record))

    @property
    def visible(self) -> int:
        """How many documents of it can be found: its text, if it has one, and its records."""
        if self.whole is None:
            return 0
        with self._ledger.read() as c:
            records = documents.visible_records(c, self._collection_id, self.key)
        return records + (self.whole.version_id is not None)

    def records(self) -> Iterator[AnyRow]:
        """Every record that is known, by key; of those deleted or withdrawn nothing is left to remove."""
        last = ""
        while self.whole is not None and (page := self._page(last, _FEW_RECORDS)):
            yield from (row for row in page if row.state not in GONE)
            last = page[-1].key

    def _page(self, after: str, limit: int) -> list[AnyRow]:
        with self._ledger.read() as c:
            return list(documents.records_of(c, self._collection_id, self.key, after, limit))
