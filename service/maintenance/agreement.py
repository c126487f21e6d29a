"""Rows that are alive in an index and not in the ledger, or twice, or the other way round, are put right."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate

import numpy as np
from sqlalchemy import Connection

from service.engine.draft import Batch
from service.engine.owner import MAINTENANCE
from service.engine.repair import do_again
from service.engine.state import CollectionState, Segment
from service.index.records import Mask
from service.ledger import events, metrics, versions
from service.ledger.database import AnyRow, Ledger
from service.maintenance.census import Census, Rows
from service.maintenance.work import Work


@dataclass
class Disagreement:
    """What has to change so that each visible version has each of its chunks once, and nothing else is alive."""

    masks: dict[int, Mask] = field(default_factory=dict)  # segment -> rows that are alive from then on
    strays: Sequence[AnyRow] = ()  # visible versions that their documents do not know
    lost: Sequence[AnyRow] = ()  # visible versions of which rows are nowhere
    unseen: Sequence[AnyRow] = ()  # documents whose version is not visible
    buried: int = 0  # rows
    revived: int = 0

    def __bool__(self) -> bool:
        return bool(self.masks or self.strays or self.lost or self.unseen)

    def as_json(self) -> dict[str, int]:
        """In numbers."""
        queued = len(self.lost) + len(self.unseen)
        return {"rows_buried": self.buried, "rows_revived": self.revived, "documents_queued": queued}


def agree(work: Work) -> Mapping[str, int]:
    """Make ledger and live files agree, in one commit; what was done. Every live segment is sound.

    Raises LeaseLost, TryAgain, Corrupt.
    """
    holding = work.holding
    ledger, state = holding.ledger, holding.state
    found = look(ledger, state)
    told = found.as_json()
    if not found:
        return told
    changes = do_again(ledger, holding.lease, [*found.lost, *found.unseen])
    retired = [version.version_id for version in (*found.strays, *found.lost)]
    batch = Batch(kind="repair", corrected=found.masks, retired=retired, documents=changes)

    def say_so(c: Connection) -> None:
        events.record(c, "rows_corrected", told, collection_id=state.id)
        metrics.add(c, "ingest_restores_total", 1, outcome="repaired")

    holding.committer.commit(batch, MAINTENANCE, also=say_so)
    return told


def look(ledger: Ledger, state: CollectionState) -> Disagreement:
    """Compare every row; changes nothing. Raises Corrupt."""
    with ledger.read() as c:
        strays = versions.strays(c, state.id)
        unseen = versions.unseen(c, state.id)
        astray = {version.version_id for version in strays}
        census = Census(each for each in versions.live_sizes(c, state.id) if each[0] not in astray)
    rows = Rows.of([(state.chunk_file(s).places(), state.alive(s)) for s in state.segments])
    chosen = rows.chosen(census)
    census.count(rows.versions[chosen], rows.ordinals[chosen])
    lost = {int(census.versions[place]) for place in census.amiss()}
    lost |= _of_another_text(ledger, state, rows.changed(census, chosen) - lost, chosen)
    chosen &= ~np.isin(rows.versions, [*lost])
    return Disagreement(
        masks={
            s.segment_id: mask for s, mask in _by_segment(state, chosen) if (mask != state.alive(s)).any()
        },
        strays=strays,
        lost=_rows_of(ledger, state, lost),
        unseen=unseen,
        buried=int((rows.alive & ~chosen).sum()),
        revived=int((chosen & ~rows.alive).sum()),
    )


def _of_another_text(ledger: Ledger, state: CollectionState, changed: set[int], chosen: Mask) -> set[int]:
    """Those of these versions whose chosen rows do not add up to their text: a number alone proves nothing."""
    hashes: dict[int, dict[int, bytes]] = {number: {} for number in changed}
    for segment, mask in _by_segment(state, chosen):
        for number, found in hashes.items():
            rows = state.chunk_file(segment).rows_of_version(number)
            found |= {row.chunk.ordinal: row.text_hash for row in rows if mask[row.row]}
    return {
        version.version_id
        for version in _rows_of(ledger, state, changed)
        if _running(hashes[version.version_id]) != version.prefix_sha256
    }


def _running(hashes: Mapping[int, bytes]) -> str:
    return hashlib.sha256(b"".join(hashes[number] for number in sorted(hashes))).hexdigest()


def _by_segment(state: CollectionState, rows: Mask) -> Iterable[tuple[Segment, Mask]]:
    ends = list(accumulate(segment.rows for segment in state.segments))
    return zip(state.segments, np.split(rows, ends[:-1]), strict=True) if ends else ()


def _rows_of(ledger: Ledger, state: CollectionState, numbers: set[int]) -> list[AnyRow]:
    """Ledger rows of visible versions."""
    if not numbers:
        return []
    with ledger.read() as c:
        return [row for row in versions.live(c, state.id) if row.version_id in numbers]
