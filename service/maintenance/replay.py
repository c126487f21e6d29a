"""What a collection is, from its commit records alone: each is applied to what those before it have left."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from service.index.commit_record import CommitRecord
from service.ledger.documents import PURGED
from service.maintenance.history import ABSENT, UNKNOWN, values_of

Json = Mapping[str, Any]
NOTHING: Json = {}
PURGE = "purge"
_PLACE = ("key", "folder", "name", "record")
_OF_SEGMENT = ("first_batch", "last_batch", "rows", "faiss", "chunks", "codes")


@dataclass
class Spans:
    """From which generation to which something was so; what is said of it may change from one to the next."""

    open: dict[int, tuple[int, Json]] = field(default_factory=dict)  # number -> since when, what is said
    ended: list[tuple[int, int, int, Json | None]] = field(
        default_factory=list
    )  # None: what was said is not known

    def begin(self, number: int, generation: int, said: Json = NOTHING) -> None:
        """From now on this is so; what was said before has ended."""
        self.end(number, generation)
        self.open[number] = generation, said

    def end(self, number: int, generation: int) -> None:
        """It is not so any more."""
        if number in self.open:
            begin, said = self.open.pop(number)
            self.ended.append((number, begin, generation, said))

    def forget(self, numbers: Collection[int]) -> None:
        """It never was so."""
        for number in numbers:
            self.open.pop(number, None)
        self.ended = [span for span in self.ended if span[0] not in numbers]

    def retell(self, number: int, said: Mapping[int, Json] | None) -> None:
        """Of what has ended: begin -> what is to be said of it, where that is another thing; None: nobody knows."""
        self.ended = [
            (n, begin, end, None if said is None else said.get(begin, old))
            if n == number
            else (n, begin, end, old)
            for n, begin, end, old in self.ended
        ]


@dataclass
class Replayed:
    """A collection at its newest commit, and what its generations were; memory holds a few hundred bytes for each document
    and version that there ever was."""

    generation: int = 0
    batch: int = 0
    at: str = ""
    spaces: list[tuple[int, dict[str, Any]]] = field(default_factory=list)  # from which generation on, which
    documents: dict[int, dict[str, Any]] = field(default_factory=dict)
    versions: dict[int, dict[str, Any]] = field(default_factory=dict)
    next_version: int = 1
    visible: Spans = field(default_factory=Spans)  # versions
    files: dict[int, dict[str, Any]] = field(default_factory=dict)  # segment -> what it is made of
    rows: Spans = field(default_factory=Spans)  # segment -> which of its rows are alive
    points: list[tuple[int, int, int]] = field(
        default_factory=list
    )  # documents, vectors, settled of each commit
    _earlier: dict[int, list[tuple[int, dict[str, Any]]]] = field(default_factory=dict)

    @property
    def vectors(self) -> int:
        return sum(int(said["live_rows"]) for _, said in self.rows.open.values())

    def apply(self, record: CommitRecord) -> None:
        """One more commit, in their order."""
        self.generation, self.batch, self.at = record.generation, record.batch, record.at
        if record.space:
            self.spaces.append((record.generation, dict(record.space)))
        self._documents(record)
        self._versions(record)
        self._segments(record)
        self._redact(record)
        settled = len(record.documents) + sum(bool(each["finished"]) for each in record.versions_added)
        self.points.append((len(self.visible.open), self.vectors, settled))

    def _documents(self, record: CommitRecord) -> None:
        for said in (*record.documents, *record.versions_added):
            new = {**UNKNOWN, **{name: said[name] for name in _PLACE}}
            first = {"generation": record.generation, "updated_at": record.at}
            self.documents.setdefault(said["doc_id"], new | first)
        for doc_id, values in values_of(record):
            self._change(record, doc_id, values)
            self._earlier.setdefault(doc_id, []).append((record.generation, values))
        for doc_id, generations in record.rollback["documents"] if record.rollback else []:
            self._restore(record, doc_id, generations)

    def _restore(self, record: CommitRecord, doc_id: int, generations: Iterable[int]) -> None:
        """As a rollback does: what these commits had said, one after the other."""
        wanted = set(generations)
        self._change(record, doc_id, UNKNOWN if wanted else ABSENT)
        for generation, values in self._earlier.get(doc_id, []):
            if generation in wanted:
                self._change(record, doc_id, values)

    def _change(self, record: CommitRecord, doc_id: int, values: Json) -> None:
        self.documents[doc_id] |= {**values, "updated_at": record.at}

    def _versions(self, record: CommitRecord) -> None:
        for said in record.versions_added:
            known = self.versions.get(said["version"])
            rows_in = known is None or known["chunks"] != said["chunks"]
            self.versions[said["version"]] = {
                "doc_id": said["doc_id"],
                "content_sha256": said["content_sha256"],
                "recipe": said["recipe"],
                "state": "complete" if said["finished"] else "unfinished",
                "chunks": said["chunks"],
                "prefix_sha256": said["prefix_sha256"],
                "first_batch": said.get(
                    "first_batch", record.batch if known is None else known["first_batch"]
                ),
                "last_batch": said.get(
                    "last_batch", record.batch if rows_in or known is None else known["last_batch"]
                ),
            }
            self.next_version = max(self.next_version, said["version"] + 1)
            if said["finished"]:
                self.visible.begin(said["version"], record.generation)
        for each in record.versions_retired:
            self.visible.end(each["version"], record.generation)
        for number in record.rollback["versions"] if record.rollback else []:
            self.visible.begin(number, record.generation)

    def _segments(self, record: CommitRecord) -> None:
        for said in record.segments_closed:
            self.rows.end(said["segment"], record.generation)
        reopened = record.rollback.get("segments", []) if record.rollback else []
        for said in (*record.segments_opened, *reopened):
            self.files[said["segment"]] = {name: said.get(name) for name in _OF_SEGMENT}
            alive = {"live": said["live"], "live_rows": said["live_rows"]}
            self.rows.begin(said["segment"], record.generation, alive)
        for said in record.live_files:
            if said["segment"] in self.rows.open:
                alive = {"live": said["live"], "live_rows": said["rows"]}
                self.rows.begin(said["segment"], record.generation, alive)

    def _redact(self, record: CommitRecord) -> None:
        """A purge changes what earlier generations were, as if the document had never been in them."""
        if record.kind != PURGE:
            return
        gone = {said["doc_id"] for said in record.documents if said.get("detail") == PURGED}
        numbers = (
            {number for number, version in self.versions.items() if version["doc_id"] in gone} if gone else ()
        )
        self.visible.forget(numbers)
        for number in numbers:
            del self.versions[number]
        if (told := record.redacted) is not None:
            self.files[told["segment"]] |= {"faiss": told["faiss"], "chunks": told["chunks"], "codes": None}
            lives = {
                each["from"]: {"live": each["live"], "live_rows": each["rows"]} for each in told["lives"]
            }
            self.rows.retell(told["segment"], lives)
            return
        for said in record.segments_opened:  # by a program that did not tell more
            self.rows.retell(said["segment"], None)


def replay(records: Iterable[CommitRecord]) -> Replayed:
    """All of them, from the first commit on."""
    replayed = Replayed()
    for record in records:
        replayed.apply(record)
    return replayed
