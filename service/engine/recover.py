"""The start-up ladder: make a folder and the ledger agree again, under a fresh lease and before any work."""

import hashlib
import re
import sys
import zlib
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from service.engine.lease import Lease
from service.engine.state import CollectionState, Segment
from service.errors import Corrupt, Refused
from service.failpoints import reach
from service.index import manifest
from service.index.collection_file import claim_folder
from service.index.files import (
    StoredFile,
    hash_file,
    make_folder,
    mend,
    put_aside,
    sync_folder,
    verify,
)
from service.index.live import encode_live
from service.ledger import events, metrics, preparations, segments, spans
from service.ledger.database import Ledger

FRESHLY_HASHED_BYTES = 64 << 20  # of the newest files, at every start; the rest at first use
_NAME = re.compile(
    r"(?:segments|commits)/(\d+)(?:-g(\d+))?-t(\d+)\.(?:faiss|chunks|codes|live|json)(?:\.t(\d+)\.tmp)?"
)


def recover(ledger: Ledger, lease: Lease, state: CollectionState, by_order: bool = False) -> list[Segment]:
    """Clean up after predecessors; returns the damaged segments, which the caller takes out of use.

    `by_order`: a person wants a repair, so every byte is hashed and any number of segments may be damaged.
    Raises Refused where the folder belongs to another ledger, is ahead of it, or is damaged beyond one segment.
    """
    most_hashed = sys.maxsize if by_order else FRESHLY_HASHED_BYTES
    _prepare_folder(state)
    _refuse_a_newer_manifest(state)
    _drop_what_nobody_goes_on_with(ledger, lease, state)
    _remove_orphans(ledger, lease, state)
    _restore_commit_records(ledger, lease, state, most_hashed)
    damaged = _damaged_segments(ledger, lease, state, most_hashed)
    if not by_order:
        _refuse_more_than_one(state, damaged)
    return damaged


def _prepare_folder(state: CollectionState) -> None:
    make_folder(state.folder.parent)
    make_folder(state.folder)
    claim_folder(state.folder, state.id, state.store_id, _is_ours(state))
    for name in ("segments", "commits", "quarantine"):
        make_folder(state.folder / name)
    # What is found may be there for now only: its maker may have been killed before it was synced.
    for folder in (state.folder, state.folder.parent, state.folder.parent.parent):
        sync_folder(folder)


def _is_ours(state: CollectionState) -> bool:
    """Whether the newest commit record proves it, or neither ledger nor folder knows of any commit."""
    if state.parent is None:
        return not any((state.folder / "commits").glob("*"))
    path = state.folder / state.parent.file
    return path.exists() and hash_file(path)[0] == state.parent.sha256


def _refuse_a_newer_manifest(state: CollectionState) -> None:
    try:
        published = manifest.read_manifest(state.folder)
    except Corrupt:
        return  # derived, so it is written anew
    if published is not None and published.generation > state.generation:
        raise Refused(
            f"{state.folder} is published at generation {published.generation}, but the ledger knows only "
            f"{state.generation}: an older ledger was put back. Restore the newer ledger, or use another data_dir."
        )


def _drop_what_nobody_goes_on_with(ledger: Ledger, lease: Lease, state: CollectionState) -> None:
    """Segments prepared by a job that was cancelled while nobody held it are orphans."""
    with ledger.read() as c:
        jobs = preparations.ended(c, state.id)
    if jobs:
        with lease.write() as c:
            for job_id in jobs:
                preparations.drop(c, state.id, job_id)


def _remove_orphans(ledger: Ledger, lease: Lease, state: CollectionState) -> None:
    """Files that bear a number this ledger reserved for a fenced token go; what is not understood is put aside."""
    with ledger.read() as c:
        known = segments.known_files(c, state.id) | segments.names_of_checkpoints(c, state.id)
        reserved = segments.never_committed(c, state.id, lease.token)
    ours = {(row.segment_id, row.token) for row in reserved}
    # Records first: should the ledger be lost, what is made anew from them must find the files that the newest one names.
    for part in ("commits", "segments"):
        for name in _names_in(state.folder, part):
            if name not in known:
                _remove_or_put_aside(lease, state, name, ours)
        sync_folder(state.folder / part)
    sync_folder(state.folder / "quarantine")


def _names_in(folder: Path, part: str) -> Iterable[str]:
    return [f"{part}/{path.name}" for path in sorted((folder / part).iterdir())]


def _remove_or_put_aside(lease: Lease, state: CollectionState, name: str, ours: set[tuple[int, int]]) -> None:
    path, token = state.folder / name, lease.token
    match = _NAME.fullmatch(name)
    if match is not None and int(match[3]) > token:
        return  # of a successor, or of a new collection of this name: we were frozen, and it is not ours to judge
    if match is not None and _is_orphan(match, name, ours, state.generation, token):
        reach("orphan.found")
        path.unlink()
        reach("orphan.removed")
        return
    put_aside(state.folder, name)
    with lease.write() as c:
        events.record(c, "quarantined", {"file": name, "reason": "unknown"}, collection_id=state.id)


def _is_orphan(
    match: "re.Match[str]", name: str, ours: set[tuple[int, int]], generation: int, token: int
) -> bool:
    number, at, writer, mender = int(match[1]), match[2], int(match[3]), match[4]
    if mender is not None:
        return int(mender) < token
    if writer >= token:
        return False
    if name.endswith(".json"):
        return number <= generation + 1
    if name.endswith(".live"):
        return int(at or 0) <= generation + 1
    return (number, writer) in ours


def _restore_commit_records(ledger: Ledger, lease: Lease, state: CollectionState, most_hashed: int) -> None:
    """Records that are missing, or found damaged, are written anew, byte for byte."""
    with ledger.read() as c:
        points = segments.hashes_of_checkpoints(c, state.id)
    hashed = 0
    for point in points:
        path = state.folder / point.file
        if path.exists():
            deep = hashed < most_hashed
            hashed += path.stat().st_size if deep else 0
            if not deep or hash_file(path)[0] == point.sha256:
                continue
        with ledger.read() as c:
            data = zlib.decompress(segments.record_of(c, state.id, point.generation))
        mend(state.folder, point.file, data, "commit", lease.token)


def _damaged_segments(
    ledger: Ledger, lease: Lease, state: CollectionState, most_hashed: int
) -> list[Segment]:
    with ledger.read() as c:
        suspects = {row.segment_id for row in segments.live(c, state.id) if row.suspect}
    damaged, hashed = [], 0
    for segment in sorted(state.segments, key=lambda s: s.last_batch, reverse=True):
        deep = hashed < most_hashed or segment.segment_id in suspects
        hashed += segment.size_bytes if deep else 0
        if not _is_sound(state, segment, deep) or not _has_live(ledger, lease, state, segment, deep):
            damaged.append(segment)
        elif segment.codes is not None and not is_whole(state, segment.codes, deep):
            do_without_codes(lease, state, segment)
    return damaged


def do_without_codes(lease: Lease, state: CollectionState, segment: Segment) -> None:
    """They are derived: a merge will make them anew."""
    assert segment.codes is not None, "these are damaged or missing"
    if (state.folder / segment.codes.name).exists():
        put_aside(state.folder, segment.codes.name)
    with lease.write() as c:
        segments.change(c, state.id, segment.segment_id, codes=None)
    segment.codes = None


def _is_sound(state: CollectionState, segment: Segment, deep: bool) -> bool:
    if not all(is_whole(state, file, deep) for file in (segment.faiss, segment.chunks)):
        return False
    segment.verified = segment.verified or deep
    return True


def _has_live(ledger: Ledger, lease: Lease, state: CollectionState, segment: Segment, deep: bool) -> bool:
    if segment.live is None or is_whole(state, segment.live, deep):
        return True
    return mend_live(ledger, lease, state, segment)


def is_whole(state: CollectionState, file: StoredFile, deep: bool = True) -> bool:
    """Whether the file is there with its size and, if `deep`, its hash."""
    path = state.folder / file.name
    if not deep:
        return path.exists() and path.stat().st_size == file.bytes
    try:
        verify(state.folder, file)
    except Corrupt:
        return False
    return True


def mend_live(
    ledger: Ledger, lease: Lease, state: CollectionState, segment: Segment, generation: int | None = None
) -> bool:
    """Write a live file anew from the versions visible at a generation (None: now), if that gives the very bytes
    that were there."""
    assert segment.live is not None
    with ledger.read() as c:
        visible = spans.visible_at(c, state.id, state.generation if generation is None else generation)
    try:
        of_rows = state.chunk_file(segment).versions_of_rows()
    except Corrupt:
        return False
    data = encode_live(np.array([version in visible for version in of_rows], dtype=np.bool_))
    if hashlib.sha256(data).hexdigest() != segment.live.sha256:
        return False
    mend(state.folder, segment.live.name, data, "live", lease.token)
    return True


def _refuse_more_than_one(state: CollectionState, damaged: list[Segment]) -> None:
    if len(damaged) > 1:
        names = ", ".join(segment.faiss.name for segment in damaged)
        raise Refused(
            f"{len(damaged)} segments of {state.name!r} are damaged or missing ({names}): that is more than a "
            "stray fault. Check the disk; then restore a backup of data_dir, or let `tidestone repair` keep what "
            "other files still hold and do the rest again."
        )


def count_restore(lease: Lease, outcome: str) -> None:
    """For the metric ingest_restores_total; a repair counts itself."""
    with lease.write() as c:
        metrics.add(c, "ingest_restores_total", 1, outcome=outcome)
