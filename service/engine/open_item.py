"""A file being worked on, and what the ledger knew of it before."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from service.core.guard import is_doubtful
from service.core.keys import record_key
from service.engine.draft import Batch, DocumentChange, Draft, Outcome, Place
from service.engine.known_file import KnownFile
from service.ledger.database import AnyRow
from service.ledger.items import ALLOWED
from service.ports import FileRead


@dataclass(frozen=True, slots=True)
class Rules:
    """What intake must know of the job."""

    recipe: str
    fresh: bool  # do everything again, changed or not
    max_tries: int


@dataclass(frozen=True, slots=True)
class LastWord:
    """How a file ends that is left out as a whole."""

    values: dict[str, Any]
    outcome: Outcome


@dataclass(eq=False)
class OpenItem:
    """One item, from its claim to its outcome."""

    item: AnyRow
    known: KnownFile
    stream: int = (
        0  # the feeder's number; what another stream says, of an attempt that was given up, does not count
    )
    records: int = 0  # met so far
    is_same: bool = False  # the text of the file itself has not changed
    drafts: set[Draft] = field(default_factory=set)  # not committed yet
    current: Draft | None = None
    read: FileRead | None = None
    last_word: LastWord | None = None
    leaving: Iterator[AnyRow] | None = None  # known records that the file has no more, while they are retired
    has_left: bool = False  # all of them are
    is_weighed: bool = False
    doubtful_loss: int = (
        0  # documents that would go, where they are so much of the file that the guard must be asked
    )
    emptied: int = 0  # records that can be found, and say nothing any more
    bad_records: int = 0
    half_in: DocumentChange | None = None  # what the ledger was told of the file before its last record came
    _seen: set[bytes] = field(default_factory=set)  # records, by hash: a file may have a million
    _repeats: dict[bytes, int] = field(
        default_factory=dict
    )  # the last number given to a name that came again

    @property
    def is_heard(self) -> bool:
        """Whether nothing more will be said of it."""
        return self.read is not None or self.last_word is not None

    @property
    def is_begun(self) -> bool:
        """Whether a commit may hold a part of its records, or of their retirement."""
        return self.records > 0 or self.leaving is not None

    @property
    def whole_draft(self) -> Draft | None:
        """The draft of the file itself, while it is not committed."""
        return next((draft for draft in self.drafts if draft.place.record == "" and not draft.failed), None)

    def place(self, record: str) -> Place:
        """Where a record of this file stands in its source."""
        return Place(self.item.folder, self.item.name, record, record_key(self.known.key, record))

    def name_record(self, record: str) -> str:
        """A name that no other record of this file has: two with one id are two documents, none is lost."""
        digest = first = _digest(record)
        name, number = record, self._repeats.get(first, 1)
        while digest in self._seen:
            number += 1
            name = f"{record}~{number}"
            digest = _digest(name)
        if number > 1:
            self._repeats[first] = number
        self._seen.add(digest)
        self.records += record != ""
        return name

    def change(self, batch: Batch, record: str, values: dict[str, Any], keeps: bool = False) -> None:
        """New column values of a document; unless it `keeps` its visible version, a state ends that one."""
        self._change(batch, record, self.known.get(record), values, keeps)

    def weigh(self) -> None:
        """Look once, when all is heard, how much would go; as many records under other names are a change, not a loss."""
        if self.is_weighed or self.item.op == ALLOWED:
            return
        self.is_weighed = True
        known = self.known.visible
        if self.last_word is not None:
            self.doubtful_loss = known
        elif self.emptied or is_doubtful(known - len(self._seen), known):
            self.doubtful_loss = self.emptied + sum(row.version_id is not None for row in self._unseen())

    def may_lose(self, known: AnyRow | None) -> bool:
        """Whether a record that says nothing any more may be taken at its word now, without the guard."""
        if known is None or known.version_id is None or self.item.op == ALLOWED:
            return True
        self.emptied += 1
        return False

    def retire_unseen(self, batch: Batch, most: int) -> None:
        """Retire records that the file had and has no more, until the batch has `most` changes or none is left."""
        if self.leaving is None:
            self.leaving = self._unseen()
        room = max(most - len(batch.documents), 1)
        gone = list(islice(self.leaving, room))
        for row in gone:
            values = {"state": "deleted", "content_sha256": "", "stamp": ""}
            self._change(batch, row.record, row, values, keeps=False)
            batch.count("deleted")
        if len(gone) < room:
            self.leaving, self.has_left = None, True

    def _unseen(self) -> Iterator[AnyRow]:
        return (row for row in self.known.records() if _digest(row.record) not in self._seen)

    def _change(
        self, batch: Batch, record: str, known: AnyRow | None, values: dict[str, Any], keeps: bool
    ) -> None:
        if "state" in values and not keeps:
            values = {**values, "version_id": None, "chunks": 0}
            if known is not None and known.version_id is not None:
                batch.retired.append(known.version_id)
        doc_id = known.doc_id if known is not None else self._given_id(record)
        batch.documents.append(DocumentChange(self.place(record), doc_id, values))

    def _given_id(self, record: str) -> int | None:
        """The id that an earlier commit of this very run gave."""
        if record == "" and self.half_in is not None:
            return self.half_in.doc_id
        return next((draft.doc_id for draft in self.drafts if draft.place.record == record), None)


def _digest(record: str) -> bytes:
    return hashlib.blake2b(record.encode(errors="surrogatepass"), digest_size=12).digest()
