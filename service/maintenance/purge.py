"""Remove a document's text and vectors from every generation and file; nothing that is kept can bring it back."""

import sqlite3
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from sqlalchemy import Connection

from service.core.keys import range_of_records
from service.core.upkeep import Kind
from service.engine import record
from service.engine.commit import write_commit_record
from service.engine.owner import MAINTENANCE
from service.engine.state import CollectionState, as_json, stored
from service.engine.written import Written
from service.errors import Corrupt, TryAgain
from service.failpoints import reach
from service.index import scratch
from service.index.files import StoredFile, sync_folder, verify
from service.index.live import read_live, write_live
from service.index.records import SegmentId, live_name
from service.index.redact import KeyRange, is_of, redact, rows_of
from service.ledger import garbage, segments, tasks
from service.ledger.database import AnyRow, utc_now
from service.maintenance import withdraw
from service.maintenance.backup import clear_dead
from service.maintenance.collect import remove
from service.maintenance.forget import forget
from service.maintenance.past import mind_the_past
from service.maintenance.proof import document_ids, former_vectors, is_file, is_out
from service.maintenance.publishing import publish_for_certain
from service.maintenance.work import Result, Work


def run(work: Work) -> Result:
    """Withdraw it, rewrite what holds it segment by segment, then let the ledger forget it.

    Begun anew after a crash anywhere it finds what is left: a redacted file is not found again. Raises TryAgain while
    a large merge is being made, which may have begun with the old files.
    """
    holding, key = work.holding, work.options["key"]
    state, keys = holding.state, ranges(key)
    doc_ids = document_ids(holding, key)
    vectors = former_vectors(holding, doc_ids)
    withdraw.run(work)
    _empty_the_bin(work)
    rewritten = sum(_rewrite_if_it_has(work, row, keys) for row in _all_segments(work))
    removed = _clear_quarantine(state.folder, keys, doc_ids)
    clear_dead(holding.settings.data_dir)
    forget(work, key)
    publish_for_certain(work)
    _throw_merges_away(work)
    left = any(_has(work, row, keys) for row in _all_segments(work))
    verified = not left and is_out(state.folder, key, state.generation, vectors)
    told = {"segments_rewritten": rewritten, "quarantined_removed": removed}
    return {"verified": verified, "generation": state.generation, "searched": len(vectors), **told}


def ranges(key: str) -> list[KeyRange]:
    """Of the document itself, and of a file's records."""
    return [(key, f"{key}\0"), *([range_of_records(key)] if is_file(key) else [])]


def _throw_merges_away(work: Work) -> None:
    """What was made of the old files; they would be refused when they are taken in, but have the text until then."""
    state = work.holding.state
    with scratch.only_merger(state.folder) as alone:
        if not alone:
            raise TryAgain(
                "merging", "a large merge is being made, perhaps of files that have been rewritten"
            )
        with work.holding.lease.write() as c:
            while (made := tasks.ordered(c, state.id, Kind.COMPACT)) is not None:
                tasks.fail(c, made.id, "purged", "it was made before a document was purged")
        scratch.clear(state.folder)
        sync_folder(state.folder / scratch.FOLDER)  # or a power cut brings the text back


def _empty_the_bin(work: Work) -> None:
    """What no generation needs does not wait for its removal: the text may be in it."""
    with work.holding.ledger.read() as c:
        waiting = garbage.listing(c, work.holding.state.id)
    remove(work, [row.file for row in waiting])


def _all_segments(work: Work) -> Sequence[AnyRow]:
    """Of any generation, and of one to come."""
    with work.holding.ledger.read() as c:
        return segments.with_files(c, work.holding.state.id)


def _has(work: Work, row: AnyRow, keys: Sequence[KeyRange]) -> bool:
    """Whether a segment has rows of the document. Raises Corrupt: a key that has rotted would hide it."""
    folder, chunks = work.holding.state.folder, stored(row.chunks)
    if not (folder / chunks.name).exists():
        return False  # of an old generation, and collected since
    return bool(rows_of(verify(folder, chunks), keys))


def _rewrite_if_it_has(work: Work, row: AnyRow, keys: Sequence[KeyRange]) -> bool:
    work.check()
    try:
        if not _has(work, row, keys):
            return False
        _rewrite(work, row, keys)
    except Corrupt:
        if row.segment_id not in {segment.segment_id for segment in work.holding.state.segments}:
            mind_the_past(work)  # gives up what is damaged: the next attempt finds it in quarantine
        raise
    return True


def _rewrite(work: Work, row: AnyRow, keys: Sequence[KeyRange]) -> None:
    """One commit: the segment has other files from now on, also where earlier generations name it."""
    holding = work.holding
    state, lease = holding.state, holding.lease
    reach("reserve.before")
    with lease.write() as c:
        number = segments.reserve(c, state.id, lease.token)
    reach("reserve.after")
    name, old = SegmentId(number, lease.token), (stored(row.faiss), stored(row.chunks))
    new = redact(state.folder, old, name, keys)
    lives = _lives(work, row, name, rows_of(state.folder / old[1].name, keys))
    written = Written(state.generation + 1, state.batch, "purge", utc_now(), time.monotonic())
    _reopen(state, written, row.segment_id, new)
    told = {"redacted": _as_json(row.segment_id, new, lives)}
    write_commit_record(state, lease.token, written, MAINTENANCE, told)
    reach("ledger.before")
    with lease.write() as c:
        record.checkpoint(c, state, written, MAINTENANCE, state.documents, settled=0)
        _point_to(c, state.id, row.segment_id, new, lives)
    reach("ledger.after")
    written.adopt_into(state)
    publish_for_certain(work)
    # Not after the grace that other files have: the text is to be gone.
    codes = [stored(row.codes)] if row.codes else []
    _remove(state.folder, [*old, *codes, *(live.old for live in lives if live.old is not None)])


def _reopen(
    state: CollectionState, written: Written, segment_id: int, new: tuple[StoredFile, StoredFile]
) -> None:
    """A segment that is live is the same with other files."""
    for segment in state.segments:
        if segment.segment_id == segment_id:
            written.closed.append(segment)
            other = replace(segment, faiss=new[0], chunks=new[1], codes=None, verified=True)
            written.reopened.append(other)
            written.redacted.append(other)


@dataclass(frozen=True, slots=True)
class Live:
    """Which rows are alive over one span, without the document's."""

    old: StoredFile | None
    from_generation: int
    new: StoredFile
    rows: int


def _as_json(segment_id: int, new: tuple[StoredFile, StoredFile], lives: Sequence[Live]) -> dict[str, Any]:
    """What a rebuild must know of segments that only earlier generations have, and of those generations."""
    said = [{"from": live.from_generation, "live": as_json(live.new), "rows": live.rows} for live in lives]
    return {"segment": segment_id, "faiss": as_json(new[0]), "chunks": as_json(new[1]), "lives": said}


def _lives(work: Work, row: AnyRow, name: SegmentId, rows: Sequence[int]) -> list[Live]:
    """For every generation that has rows of the document alive: a live file that has not. Raises Corrupt."""
    state, changed = work.holding.state, list[Live]()
    with work.holding.ledger.read() as c:
        spans = segments.spans_of(c, state.id, row.segment_id)
    for span in spans:
        old = stored(span.live) if span.live else None
        alive = np.ones(row.rows, np.bool_) if old is None else read_live(state.folder, old)
        if not alive[list(rows)].any():
            continue
        alive[list(rows)] = False
        target = live_name(name.number, span.from_generation, name.token)
        new = write_live(state.folder, target, alive)
        changed.append(Live(old, span.from_generation, new, int(alive.sum())))
    sync_folder(state.folder / "segments")
    return changed


def _point_to(
    c: Connection,
    collection_id: str,
    segment_id: int,
    new: tuple[StoredFile, StoredFile],
    lives: Sequence[Live],
) -> None:
    files: dict[str, Any] = {"faiss": as_json(new[0]), "chunks": as_json(new[1]), "codes": None}
    segments.change(c, collection_id, segment_id, **files)
    for live in lives:
        said = {"live": as_json(live.new), "live_rows": live.rows}
        segments.change_span(c, collection_id, segment_id, live.from_generation, **said)


def _remove(folder: Path, files: Sequence[StoredFile]) -> None:
    for file in files:
        (folder / file.name).unlink(missing_ok=True)
    sync_folder(folder / "segments")


def _clear_quarantine(folder: Path, keys: Sequence[KeyRange], doc_ids: Sequence[int]) -> list[str]:
    """Remove what was put aside of segments that hold the document, or can no longer be read at all.

    Vectors without their chunks are such: nobody can tell whose they are.
    """
    removed = []
    for path in sorted((folder / "quarantine").glob("*.faiss*")):
        if not any(path.parent.glob(f"{path.name.partition('.')[0]}.chunks*")):
            removed.append(path.name)
            path.unlink()
    for path in sorted((folder / "quarantine").glob("*.chunks*")):
        try:
            is_of_it = is_of(path, keys, doc_ids)
        except sqlite3.DatabaseError:
            is_of_it = True  # nobody can tell, or use it for anything
        if is_of_it:
            alike = [*path.parent.glob(f"{path.name.partition('.')[0]}.*")]
            removed += [each.name for each in alike]
            for each in alike:
                each.unlink()
    sync_folder(folder / "quarantine")
    return sorted(removed)
