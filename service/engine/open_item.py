"""A file being worked on, and what the ledger knew of it before."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from service.engine.draft import Batch, DocumentChange, Draft, Place
from service.ledger.database import AnyRow
from service.ports import FileRead


@dataclass(frozen=True, slots=True)
class Rules:
    """What intake must know of the job."""

    recipe: str
    fresh: bool  # do everything again, changed or not
    root: str
    max_tries: int


@dataclass(eq=False)
class OpenItem:
    """One item, from its claim to its outcome."""

    item: AnyRow
    known: Mapping[str, AnyRow]  # record -> document
    root: str
    seen: set[str] = field(default_factory=set)
    same: set[str] = field(default_factory=set)  # records whose text has not changed
    drafts: set[Draft] = field(default_factory=set)  # not committed yet
    current: Draft | None = None
    read: FileRead | None = None
    bad_records: int = 0
    half_in: DocumentChange | None = None  # what the ledger was told of the file before its last record came

    def place(self, record: str) -> Place:
        """Where a record of this file stands in its source."""
        folder, name = self.item.folder, self.item.name
        return Place(folder, name, record, key_of(self.root, folder, name, record))

    def name_record(self, record: str) -> str:
        """A name that no other record of this file has: two with one id are two documents, none is lost."""
        name, number = record, 1
        while name in self.seen:
            number += 1
            name = f"{record}~{number}"
        self.seen.add(name)
        return name

    def change(self, batch: Batch, record: str, values: dict[str, Any], keeps: bool = False) -> None:
        """New column values of a document; unless it `keeps` its visible version, a state ends that one."""
        known = self.known.get(record)
        if "state" in values and not keeps:
            values = {**values, "version_id": None, "chunks": 0}
            if known is not None and known.version_id is not None:
                batch.retired.append(known.version_id)
        doc_id = known.doc_id if known is not None else self._given_id(record)
        batch.documents.append(DocumentChange(self.place(record), doc_id, values))

    def retire_unseen(self, batch: Batch) -> None:
        """Records that the file had and has no more."""
        for record, known in self.known.items():
            if record not in self.seen and known.state != "deleted":
                self.change(batch, record, {"state": "deleted", "content_sha256": "", "stamp": ""})

    def _given_id(self, record: str) -> int | None:
        """The id that an earlier commit of this very run gave."""
        if record == "" and self.half_in is not None:
            return self.half_in.doc_id
        return next((draft.doc_id for draft in self.drafts if draft.place.record == record), None)


def key_of(root: str, folder: str, name: str, record: str = "") -> str:
    """A library document's key: named root, relative path, and the record inside the file."""
    path = "/".join(part for part in (root, folder, name) if part)
    return f"{path}#{record}" if record else path
