"""One durable record per commit, chained by hash: what a rebuild without the ledger needs."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from service.errors import Corrupt
from service.index.files import StoredFile, hash_file, sync_folder, write_new
from service.index.sealed import Unsealed, seal, unseal

FORMAT = "tidestone-commit-1"

_NAME = re.compile(r"(\d{8,})-t(\d+)\.json")

Json = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Parent:
    """The record before: `sha256` is that of its file's bytes."""

    generation: int
    file: str
    sha256: str


@dataclass(frozen=True, slots=True)
class CommitRecord:
    """What one commit did. The engine decides what the JSON objects hold; all of it is plain JSON."""

    collection_id: str
    store_id: str
    generation: int
    token: int
    parent: Parent | None
    kind: str  # ingest, merge, repair, reindex, rollback
    batch: int
    at: str  # ISO 8601, UTC
    job: str | None
    source: Json | None
    documents: Sequence[Json]  # settled without new vectors
    versions_added: Sequence[Json]
    versions_retired: Sequence[Json]
    segments_opened: Sequence[Json]
    segments_closed: Sequence[Json]
    live_files: Sequence[Json]
    space: Json | None = None  # of every vector from this commit on, where it changes that
    rollback: Json | None = None  # to which generation, and what comes back of it
    redacted: Json | None = None  # a segment's new files, and which rows were alive in earlier generations

    @property
    def name(self) -> str:
        return f"commits/{self.generation:08d}-t{self.token}.json"


@dataclass(frozen=True, slots=True)
class Chain:
    """Records from the first commit on, verified link by link; `stored[i]` is the file of `records[i]`.

    `torn` are newest files that could not be read: a commit's record is synced before the commit counts, so a
    torn one never did.
    """

    records: Sequence[CommitRecord]
    stored: Sequence[StoredFile]
    torn: Sequence[str]


def write_record(root: Path, record: CommitRecord) -> StoredFile:
    """Create the record's file and sync its folder. Raises FileExistsError, TryAgain."""
    stored = write_new(root, record.name, encode(record), "commit")
    sync_folder(root / "commits")
    return stored


def encode(record: CommitRecord) -> bytes:
    """Canonical JSON that carries its own hash."""
    # Not `asdict` of the whole: it copies every list, of which a rollback has long ones.
    values = {field.name: getattr(record, field.name) for field in fields(record)}
    if record.redacted is None:  # records that were written before there was such a field keep their bytes
        del values["redacted"]
    parent = asdict(record.parent) if record.parent else None
    return seal({**values, "parent": parent, "format": FORMAT})


def decode(data: bytes) -> CommitRecord:
    """Reverse of `encode`. Raises Unsealed on damage, ValueError on another format."""
    values = unseal(data)
    if values.pop("format") != FORMAT:
        raise ValueError("not a commit record of this format")
    parent = values.pop("parent")
    return CommitRecord(parent=Parent(**parent) if parent else None, **values)


def read_record(root: Path, name: str) -> tuple[CommitRecord, StoredFile]:
    """One record and its file as it is. Raises Corrupt, also when it is missing or misnamed."""
    path = root / name
    try:
        record = decode(path.read_bytes())
    except FileNotFoundError as error:
        raise Corrupt(path, "a commit record", "no file") from error
    except Unsealed as error:
        raise Corrupt(path, "a commit record", str(error)) from error
    if record.name != name:
        raise Corrupt(path, name, record.name)
    return record, StoredFile(name, *hash_file(path))


def read_chain(root: Path) -> Chain:
    """Follow the parents from the newest readable record to the first commit.

    Newest: the highest generation, and of one generation the highest token, because lower tokens were fenced
    before it was given out. Raises Corrupt where the chain is broken below its head.
    """
    torn: list[str] = []
    for name in _newest_first(root):
        try:
            head = read_record(root, name)
        except Corrupt:
            torn.append(name)
            continue
        links = _down_from(root, head)
        return Chain([record for record, _ in links], [stored for _, stored in links], torn)
    return Chain([], [], torn)


def _down_from(root: Path, link: tuple[CommitRecord, StoredFile]) -> list[tuple[CommitRecord, StoredFile]]:
    links = [link]
    while (parent := links[-1][0].parent) is not None:
        record, stored = read_record(root, parent.file)
        if stored.sha256 != parent.sha256:
            raise Corrupt(root / parent.file, parent.sha256, stored.sha256)
        if record.generation != parent.generation or record.generation >= links[-1][0].generation:
            raise Corrupt(root / parent.file, f"generation {parent.generation}", str(record.generation))
        links.append((record, stored))
    return links[::-1]


def _newest_first(root: Path) -> list[str]:
    found = [(match, path) for path in (root / "commits").iterdir() if (match := _NAME.fullmatch(path.name))]
    found.sort(key=lambda pair: (int(pair[0][1]), int(pair[0][2])), reverse=True)
    return [f"commits/{path.name}" for _, path in found]
