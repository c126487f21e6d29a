"""Repair a collection by order: what is damaged is taken out of use, and only what nothing else holds is done again."""

from collections.abc import Collection, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from service.engine import rescue
from service.engine.publish import publish
from service.engine.recover import is_whole, recover
from service.ledger import collections, events, segments, versions
from service.maintenance.agreement import agree, look
from service.maintenance.clearing import clear_away
from service.maintenance.from_texts import take_out
from service.maintenance.past import mind_the_past
from service.maintenance.verify import verify_collection
from service.maintenance.work import Result, Work

_NOTHING_LOST: Mapping[str, Any] = {"segments": [], "documents": 0, "rescued": 0, "generations": 0}


def run(work: Work) -> Result:
    """Hash everything and mend what can be; what was found and done. Raises Refused where a person has to choose."""
    if work.options.get("dry_run"):
        return _look(work)
    holding = work.holding
    ledger, state = holding.ledger, holding.state
    aside = set(_names(state.folder, "quarantine"))
    there = _There.now(state.folder)
    damaged = recover(ledger, holding.lease, state, by_order=True)
    clear_away(work)
    rewritten = there.rewritten_since()
    done, back = take_out(work, damaged) if damaged else (_NOTHING_LOST, 0)
    there = _There.now(state.folder)
    given_up = done["generations"] + mind_the_past(work)
    rewritten += there.rewritten_since()
    agreed = agree(work)
    corrected = _correct_counts(work)
    if state.generation:
        publish(ledger, holding.lease, state)
    return {
        "generation": state.generation,
        "segments_taken_out": done["segments"],
        "documents_rescued": done["rescued"],
        "documents_embedded": back,
        "documents_queued": done["documents"] - back + agreed["documents_queued"],
        "rows_buried": agreed["rows_buried"],
        "rows_revived": agreed["rows_revived"],
        "files_rewritten": rewritten,
        "files_put_aside": sorted(set(_names(state.folder, "quarantine")) - aside),
        "generations_given_up": given_up,
        "counts_corrected": corrected,
    }


@dataclass(frozen=True, slots=True)
class _There:
    """A folder's files at one moment."""

    folder: Path
    names: Sequence[str]
    aside: Collection[str]

    @classmethod
    def now(cls, folder: Path) -> "_There":
        return cls(folder, _names(folder), set(_names(folder, "quarantine")))

    def rewritten_since(self) -> list[str]:
        """Files that were missing, or whose damaged bytes are in quarantine now."""
        aside = set(_names(self.folder, "quarantine")).difference(self.aside)
        return [n for n in _names(self.folder) if n not in self.names or Path(n).name in aside]


def _look(work: Work) -> Result:
    """What a repair would do; changes nothing."""
    ledger, state = work.holding.ledger, work.holding.state
    damaged = [
        segment
        for segment in state.segments
        if not all(is_whole(state, file) for file in (segment.faiss, segment.chunks, segment.live) if file)
    ]
    with closing(rescue.plan(ledger, state, damaged, work.check)) as plan:
        told = {"documents_rescued": plan.rescued, "documents_queued": len(plan.lost)}
    rows = {} if damaged else look(ledger, state).as_json()  # of damaged segments nothing can be said
    problems = verify_collection(ledger, work.holding.settings, state.name)["problems"]
    names = [segment.faiss.name for segment in damaged]
    place = {"dry_run": True, "generation": state.generation, "segments_damaged": names}
    return {**place, **told, **rows, "problems": problems}


def _correct_counts(work: Work) -> bool:
    """The collection's counts as they are counted; and every live segment was found sound just now."""
    holding, state = work.holding, work.holding.state
    with holding.lease.write() as c:
        segments.trust(c, state.id, [segment.segment_id for segment in state.segments])
        row = collections.by_id(c, state.id)
        counted = {"documents": versions.count_visible(c, state.id), "vectors": state.vectors}
        said = {"documents": row.documents, "vectors": row.vectors}
        state.documents = counted["documents"]
        if counted == said:
            return False
        collections.change(c, state.id, **counted)
        events.record(c, "counts_corrected", {"from": said, "to": counted}, collection_id=state.id)
    return True


def _names(folder: Path, *parts: str) -> Sequence[str]:
    """The files in these parts of the folder, by default those that the ledger knows."""
    return [
        f"{part}/{path.name}" if not parts else path.name
        for part in parts or ("commits", "segments")
        if (folder / part).is_dir()
        for path in sorted((folder / part).iterdir())
    ]
