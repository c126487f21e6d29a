"""Rows of damaged segments that other files still hold are copied from there: nothing is embedded again."""

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
from sqlalchemy import Connection

from service.engine.commit import Committer
from service.engine.state import CollectionState, Segment, stored
from service.errors import Corrupt
from service.index.chunkfile import ChunkFile
from service.index.files import StoredFile, verify
from service.index.merge import MergeInput, Target, merge_segments
from service.index.records import MAX_ROWS, RowRecord
from service.ledger import segments, spaces, versions
from service.ledger.database import AnyRow, Ledger

Rows = dict[int, list[int]]  # donor -> some of its rows


@dataclass(eq=False, slots=True)
class Donor:
    """A segment of any generation whose vectors are in the present space; a damaged one may be whole enough."""

    segment_id: int
    first_batch: int
    last_batch: int
    rows: int
    faiss: StoredFile
    chunks: StoredFile
    open: ChunkFile | None = None  # once both files are verified
    unusable: bool = False


@dataclass
class Plan:
    """What becomes of the visible versions that have rows in damaged segments."""

    damaged: Sequence[Segment]
    donors: dict[int, Donor]
    rescued: int = 0  # versions
    lost: list[AnyRow] = field(default_factory=list)  # versions of which rows are gone
    unfinished: list[AnyRow] = field(default_factory=list)  # versions that have to begin again
    copies: dict[int, Rows] = field(default_factory=dict)  # damaged segment -> the rows that take its place

    def close(self) -> None:
        """Close what was read."""
        for donor in self.donors.values():
            if donor.open is not None:
                donor.open.close()
                donor.open = None


def plan(
    ledger: Ledger,
    state: CollectionState,
    damaged: Sequence[Segment],
    check: Callable[[], None] = lambda: None,
) -> Plan:
    """Look for every row that is gone; changes nothing. Whoever gets it closes it. Raises Corrupt."""
    with ledger.read() as c:
        visible = [version for version in versions.live(c, state.id) if _is_in(version, damaged)]
        unfinished = [v for v in versions.unfinished(c, state.id) if _is_in(v, damaged)]
        donors = _donors(c, state, damaged)
    made = Plan(damaged, donors, unfinished=unfinished)
    try:
        for version in visible:
            check()
            _look_for(state, made, version)
    except BaseException:
        made.close()
        raise
    return made


def write(committer: Committer, state: CollectionState, made: Plan) -> list[Segment]:
    """One segment for each damaged one of which something is rescued; durable, and part of no generation yet.

    Raises LeaseLost, TryAgain, Corrupt.
    """
    places = {segment.segment_id: segment for segment in made.damaged}
    return [_write(committer, state, places[at], made, rows) for at, rows in made.copies.items()]


def _donors(c: Connection, state: CollectionState, damaged: Sequence[Segment]) -> dict[int, Donor]:
    # Before that generation vectors meant something else.
    since = spaces.at(c, state.id, state.generation).from_generation
    found = segments.of_generations_from(c, state.id, since)
    return {
        row.segment_id: Donor(
            row.segment_id, row.first_batch, row.last_batch, row.rows, stored(row.faiss), stored(row.chunks)
        )
        for row in found
        if _is_in(row, damaged)
    }


def _look_for(state: CollectionState, made: Plan, version: AnyRow) -> None:
    hashes = _still_there(state, made.damaged, version)
    missing = set(range(version.chunks)) - hashes.keys()
    if not missing:
        return
    rows: Rows = {}
    for donor in made.donors.values():
        if missing and _overlap(version, donor):
            for row in _rows_of(state, donor, version.version_id, missing):
                rows.setdefault(donor.segment_id, []).append(row.row)
                hashes[row.chunk.ordinal] = row.text_hash
                missing.discard(row.chunk.ordinal)
    running = hashlib.sha256(b"".join(hashes[n] for n in sorted(hashes))).hexdigest()
    place = None if missing or running != version.prefix_sha256 else _place_for(made, version, rows)
    if place is None:
        made.lost.append(version)
        return
    made.rescued += 1
    for number, taken in rows.items():
        place.setdefault(number, []).extend(taken)


def _still_there(state: CollectionState, damaged: Sequence[Segment], version: AnyRow) -> dict[int, bytes]:
    """Chunk number -> text hash of the version's rows that are alive in sound segments."""
    sound = [s for s in state.covering(version.first_batch, version.last_batch) if s not in damaged]
    return {
        row.chunk.ordinal: row.text_hash
        for segment in sound
        for row in state.chunk_file(segment).rows_of_version(version.version_id)
        if state.alive(segment)[row.row]
    }


def _rows_of(state: CollectionState, donor: Donor, version: int, missing: set[int]) -> Iterable[RowRecord]:
    if donor.open is None and not donor.unusable:
        try:
            verify(state.folder, donor.faiss)
            donor.open = ChunkFile(verify(state.folder, donor.chunks))
        except Corrupt:
            donor.unusable = True
    if donor.open is None:
        return []
    return [row for row in donor.open.rows_of_version(version) if row.chunk.ordinal in missing]


def _place_for(made: Plan, version: AnyRow, rows: Rows) -> Rows | None:
    """Among the rows that take the place of a damaged segment of the version; None: there is no room."""
    more = sum(map(len, rows.values()))
    for segment in made.damaged:
        if not _overlap(version, segment):
            continue
        place = made.copies.get(segment.segment_id, {})
        if sum(map(len, place.values())) + more <= MAX_ROWS:
            return made.copies.setdefault(segment.segment_id, place)
    return None


def _write(committer: Committer, state: CollectionState, damaged: Segment, made: Plan, rows: Rows) -> Segment:
    name = committer.reserve_segment()
    inputs = []
    for number, taken in rows.items():
        donor = made.donors[number]
        kept = np.zeros(donor.rows, np.bool_)
        kept[taken] = True
        inputs.append(MergeInput(donor.faiss, donor.chunks, kept))
    metric = "cosine" if state.space.normalised else "l2"
    files = merge_segments(state.folder, inputs, Target(name, state.id, metric, state.space.dimensions))
    return Segment(
        segment_id=name.number,
        token=name.token,
        first_batch=damaged.first_batch,
        last_batch=damaged.last_batch,
        rows=files.rows,
        live_rows=files.rows,
        faiss=files.vectors,
        chunks=files.chunks,
        live=None,
        verified=True,
        alive=np.ones(files.rows, np.bool_),
    )


def _is_in(what: AnyRow, damaged: Sequence[Segment]) -> bool:
    return any(_overlap(what, segment) for segment in damaged)


def _overlap(one: AnyRow | Donor, other: Segment | Donor) -> bool:
    return bool(one.first_batch <= other.last_batch and other.first_batch <= one.last_batch)
