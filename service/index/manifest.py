"""The published list of what to load, and the one way to publish it."""

import fcntl
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from service.core.space import Space
from service.errors import Corrupt, TryAgain
from service.failpoints import reach
from service.index.files import StoredFile, replace
from service.index.sealed import Unsealed, seal, unseal

FORMAT = "tidestone-manifest-1"
NAME = "manifest.json"
KEPT_CHECKPOINTS = 20

_LOCK = "publish.lock"
_POLL_SECONDS = 0.01


@dataclass(frozen=True, slots=True)
class SegmentEntry:
    """A live segment; without a `live` file all its rows are alive."""

    first_batch: int
    last_batch: int
    generation: int
    rows: int
    faiss: StoredFile
    chunks: StoredFile
    live: StoredFile | None
    codes: StoredFile | None = None  # for approximate search; derived from `faiss`


@dataclass(frozen=True, slots=True)
class CheckpointEntry:
    """One commit: its record's file."""

    batch: int
    generation: int
    file: str
    sha256: str
    size_bytes: int
    timestamp: str  # ISO 8601, UTC


@dataclass(frozen=True, slots=True)
class Manifest:
    """All that a reader needs to know."""

    collection: str
    collection_id: str
    generation: int
    space: Mapping[str, Any]  # the fields of Space, and its fingerprint
    dimensions: int
    metric: str
    segments: Sequence[SegmentEntry]
    checkpoints: Sequence[CheckpointEntry]  # ascending, at most the last KEPT_CHECKPOINTS
    documents: int
    vectors: int
    last_saved: str  # ISO 8601, UTC


def describe(space: Space) -> dict[str, Any]:
    """A space as the manifest shows it."""
    return {**asdict(space), "fingerprint": space.fingerprint}


def encode(manifest: Manifest) -> bytes:
    """The file's bytes: canonical JSON that carries its own hash, with the last checkpoints only."""
    values = asdict(manifest)
    values["checkpoints"] = values["checkpoints"][-KEPT_CHECKPOINTS:]
    for segment in values["segments"]:
        files = {kind: segment.pop(kind) for kind in ("faiss", "chunks", "live", "codes")}
        segment["files"] = {kind: stored for kind, stored in files.items() if stored}
    return seal({**values, "format": FORMAT})


def decode(data: bytes) -> Manifest:
    """Reverse of `encode`. Raises Unsealed on damage, ValueError on another format."""
    values = unseal(data)
    if values.pop("format") != FORMAT:
        raise ValueError("not a manifest of this format")
    segments = [_segment(segment) for segment in values.pop("segments")]
    checkpoints = [CheckpointEntry(**entry) for entry in values.pop("checkpoints")]
    return Manifest(segments=segments, checkpoints=checkpoints, **values)


def read_manifest(root: Path) -> Manifest | None:
    """What is published, or None. Raises Corrupt."""
    path = root / NAME
    try:
        return decode(path.read_bytes())
    except FileNotFoundError:
        return None
    except Unsealed as error:
        raise Corrupt(path, "a manifest", str(error)) from error


def publish(root: Path, manifest: Manifest, wait_seconds: float = 5.0) -> bool:
    """Replace the manifest unless what is there is newer or the same; says whether it did.

    A damaged one is replaced. Raises TryAgain("publish_failing") when another process holds the folder lock
    for that long, and TryAgain("disk_low").
    """
    data = encode(manifest)
    with _folder_lock(root, wait_seconds) as lock:
        reach("manifest.locked")
        if not _supersedes(manifest, data, root):
            return False
        replace(root, NAME, data, lambda: _require_same_folder(root, lock))
    return True


def _require_same_folder(root: Path, lock: int) -> None:
    """Who was frozen under the lock may find another collection in a new folder of the same name."""
    try:
        same = os.path.samestat(os.fstat(lock), os.stat(root / _LOCK))
    except FileNotFoundError:
        same = False
    if not same:
        raise TryAgain("publish_failing", f"{root} was deleted, and made anew since")


def _supersedes(manifest: Manifest, data: bytes, root: Path) -> bool:
    try:
        present = read_manifest(root)
    except Corrupt:
        return True
    if present is None or manifest.generation > present.generation:
        return True
    return manifest.generation == present.generation and data != encode(present)


def _segment(values: dict[str, Any]) -> SegmentEntry:
    files = {kind: StoredFile(**stored) for kind, stored in values.pop("files").items()}
    live, codes = files.get("live"), files.get("codes")
    return SegmentEntry(**values, faiss=files["faiss"], chunks=files["chunks"], live=live, codes=codes)


@contextmanager
def _folder_lock(root: Path, wait_seconds: float) -> Iterator[int]:
    descriptor = os.open(root / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        deadline = time.monotonic() + wait_seconds
        while not _try_lock(descriptor):
            if time.monotonic() > deadline:
                raise TryAgain("publish_failing", f"{root / _LOCK} is held by another process")
            time.sleep(_POLL_SECONDS)
        yield descriptor
    finally:
        os.close(descriptor)  # releases the lock


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
