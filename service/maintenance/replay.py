"""What a collection is, from its commit records alone: each is applied to what those before it have left."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from service.index.commit_record import CommitRecord
from service.maintenance.history import ABSENT, UNKNOWN, values_of

Json = Mapping[str, Any]
_PLACE = ("key", "folder", "name", "record")


@dataclass
class Replayed:
    """A collection at its newest commit; memory holds a few hundred bytes for each document and version."""

    generation: int = 0
    batch: int = 0
    at: str = ""
    space: dict[str, Any] | None = None
    documents: dict[int, dict[str, Any]] = field(default_factory=dict)
    versions: dict[int, dict[str, Any]] = field(default_factory=dict)
    live: set[int] = field(default_factory=set)  # versions
    segments: dict[int, dict[str, Any]] = field(default_factory=dict)
    opened_at: dict[int, int] = field(
        default_factory=dict
    )  # segment -> generation of what is said of its rows
    points: list[tuple[int, int, int]] = field(
        default_factory=list
    )  # documents, vectors, settled of each commit
    _earlier: dict[int, list[tuple[int, dict[str, Any]]]] = field(default_factory=dict)

    @property
    def vectors(self) -> int:
        return sum(int(segment["live_rows"]) for segment in self.segments.values())

    def apply(self, record: CommitRecord) -> None:
        """One more commit, in their order."""
        self.generation, self.batch, self.at = record.generation, record.batch, record.at
        self.space = dict(record.space) if record.space else self.space
        self._documents(record)
        self._versions(record)
        self._segments(record)
        settled = len(record.documents) + sum(bool(each["finished"]) for each in record.versions_added)
        self.points.append((len(self.live), self.vectors, settled))

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
            if said["finished"]:
                self.live.add(said["version"])
        self.live.difference_update(each["version"] for each in record.versions_retired)
        if record.rollback:
            self.live.update(record.rollback["versions"])

    def _segments(self, record: CommitRecord) -> None:
        for said in record.segments_closed:
            self.segments.pop(said["segment"], None)
        reopened = record.rollback.get("segments", []) if record.rollback else []
        for said in (*record.segments_opened, *reopened):
            self.segments[said["segment"]] = dict(said)
            self.opened_at[said["segment"]] = record.generation
        for said in record.live_files:
            if said["segment"] in self.segments:
                self.segments[said["segment"]] |= {"live": said["live"], "live_rows": said["rows"]}
                self.opened_at[said["segment"]] = record.generation


def replay(records: Iterable[CommitRecord]) -> Replayed:
    """All of them, from the first commit on."""
    replayed = Replayed()
    for record in records:
        replayed.apply(record)
    return replayed
