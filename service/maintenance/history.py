"""What commit records say of documents: which ones the commits after a generation touched, and as what they stood there."""

import zlib
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection

from service.core.keys import root_of
from service.core.stamp import size_in
from service.index.commit_record import CommitRecord, decode
from service.ledger import segments

# Of a document that a commit has only begun, or that has never been indexed, nothing else is known.
UNKNOWN: Mapping[str, Any] = {
    "state": "pending",
    "reason": None,
    "detail": None,
    "stamp": "",
    "file_sha256": "",
    "content_sha256": "",
    "recipe": "",
    "title": None,
    "described_sha256": "",
    "version_id": None,
    "chunks": 0,
    "bytes": 0,
}
ABSENT: Mapping[str, Any] = {**UNKNOWN, "state": "deleted"}
_AS_INDEXED = ("stamp", "file_sha256", "content_sha256", "recipe", "title", "described_sha256", "chunks")

Json = Mapping[str, Any]


@dataclass
class Undone:
    """What the commits after a generation have said; as numbers, since it may be of every document."""

    spared: Collection[int] = ()  # documents that stay as they are
    documents: set[int] = field(default_factory=set)
    begun: set[int] = field(default_factory=set)  # versions that they left unfinished
    files: dict[str, set[int]] = field(default_factory=dict)  # job -> hashes of (folder, name)
    removed: dict[str, set[int]] = field(default_factory=dict)  # job -> documents that it deleted
    roots: set[tuple[str | None, str | None]] = field(
        default_factory=set
    )  # (job, root of a source; None: any)

    def add(self, record: CommitRecord) -> None:
        """Of one more commit."""
        self.begun.update(each["version"] for each in record.versions_added if not each["finished"])
        all_said = (*record.versions_added, *record.documents)
        said = [each for each in all_said if each["doc_id"] not in self.spared]
        restored = record.rollback["documents"] if record.rollback else []
        if not said and not restored:
            return
        self.documents.update(each["doc_id"] for each in said)
        self.documents.update(doc_id for doc_id, _ in restored if doc_id not in self.spared)
        # Not the numbers of sources: a ledger that was made anew has others.
        self.roots.update((record.job, root_of(each["key"])) for each in said)
        if restored:
            self.roots.add((record.job, None))
        if record.job:
            files = self.files.setdefault(record.job, set())
            files.update(hash((each["folder"], each["name"])) for each in said)
            gone = (each["doc_id"] for each in said if each.get("state") == "deleted")
            self.removed.setdefault(record.job, set()).update(gone)


def undone(c: Connection, collection_id: str, generation: int, spared: Collection[int]) -> Undone:
    """What the commits after `generation` have said of other documents than these. Holds a few records at a time."""
    found = Undone(spared)
    for record in _backwards(c, collection_id):
        if record.generation <= generation:
            break
        found.add(record)
    return found


def sources_of(
    c: Connection, collection_id: str, generation: int, wanted: Iterable[int]
) -> dict[int, list[int]]:
    """Document -> the generations, ascending, whose records together say how it stood at `generation`.

    Of a document that did not exist then: none. Holds a few records at a time.
    """
    found: dict[int, list[int]] = {doc_id: [] for doc_id in wanted}
    open_ones = set(found)
    for record in _backwards(c, collection_id, generation):
        if not open_ones:
            break
        for doc_id, generations, is_all in _mentions(record):
            if doc_id in open_ones:
                found[doc_id] += [g for g in generations if g not in found[doc_id][-1:]]
                if is_all:
                    open_ones.remove(doc_id)
    return {doc_id: generations[::-1] for doc_id, generations in found.items()}


def _mentions(record: CommitRecord) -> Iterator[tuple[int, list[int], bool]]:
    """(Document, generations from the newest back, whether nothing older counts). What counts most comes first."""
    own = [record.generation]
    for doc_id, generations in record.rollback["documents"] if record.rollback else []:
        yield doc_id, generations[::-1], True
    for said in record.versions_added:
        if said["finished"]:
            yield said["doc_id"], own, True
    for said in (*record.documents, *record.versions_added):
        yield said["doc_id"], own, False


def values_of(record: CommitRecord) -> Iterator[tuple[int, dict[str, Any]]]:
    """(Document, new values of its columns) in the order in which they came true."""
    for said in record.documents:
        yield said["doc_id"], {name: said[name] for name in UNKNOWN if name in said}
    for said in record.versions_added:
        if said["finished"]:
            values = {name: said[name] for name in _AS_INDEXED}
            facts = {"state": "indexed", "reason": None, "detail": None, "version_id": said["version"]}
            facts |= {"bytes": _bytes_of(said), "generation": record.generation}
            yield said["doc_id"], {**values, **facts}


def _bytes_of(said: Json) -> int:
    """The size of a document's file; where a record of former times does not say so, its stamp may."""
    stamp = str(said["stamp"])
    return int(said["bytes"]) if "bytes" in said else size_in(stamp) if stamp else 0


def record_of(c: Connection, collection_id: str, generation: int) -> CommitRecord:
    """The record of one commit, from the ledger's copy."""
    return decode(zlib.decompress(segments.record_of(c, collection_id, generation)))


def _backwards(c: Connection, collection_id: str, newest: int | None = None) -> Iterator[CommitRecord]:
    for data in segments.records(c, collection_id, newest):
        yield decode(zlib.decompress(data))
