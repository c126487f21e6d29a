"""Make a collection what it was at an earlier generation, by one more commit."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

from sqlalchemy import Connection

from service.core.space import Space
from service.engine import record
from service.engine.commit import write_commit_record
from service.engine.owner import MAINTENANCE
from service.engine.publish import publish
from service.engine.room import require_room
from service.engine.state import CollectionState, Segment, segment_of
from service.engine.written import Written, segment_json
from service.errors import Corrupt, Refused
from service.failpoints import reach
from service.index import manifest
from service.index.files import sync_folder
from service.index.live import write_live
from service.index.records import Mask, live_name
from service.ledger import collections, documents, events, segments, spaces, spans, versions
from service.ledger.database import AnyRow, utc_now
from service.maintenance import history
from service.maintenance.generations import Turn, check, left_out
from service.maintenance.history import ABSENT, UNKNOWN, Undone
from service.maintenance.rewind import rewind
from service.maintenance.work import Result, Work

_DOCUMENTS_AT_ONCE = 5_000


@dataclass(frozen=True, slots=True)
class Plan:
    """What a rollback changes; lists of numbers, as long as there are documents."""

    turn: Turn
    undone: Undone
    sources: Mapping[int, list[int]]  # document -> the generations that say how it was; none: it was not
    leave: Sequence[int]  # versions
    come: Sequence[int]
    documents: int  # visible afterwards
    left_out: Sequence[AnyRow]  # versions
    space: Space  # of the vectors


def run(work: Work) -> Result:
    """Go back. Raises NotFound, Conflict, BadRequest, and Refused where a file that comes back is damaged."""
    turn, state = Turn.of(work.options), work.holding.state
    require_room(work.holding.settings, work.holding.ledger)
    with work.holding.ledger.read() as c:
        check(c, collections.by_id(c, state.id), turn)
        plan = _plan(c, state, turn)
        then = [segment_of(row) for row in segments.live_at(c, state.id, turn.generation)]
    if not plan.sources and plan.space == state.space:  # nothing but merges has come since
        return {"changed": False, "generation": state.generation, "to": turn.generation}
    written = Written(state.generation + 1, state.batch, "rollback", utc_now(), time.monotonic())
    _choose_segments(work, written, then)
    # Segments that come back are read whole before anything is written: a refusal leaves nothing behind.
    _verify(work, written.reopened)
    reach("rollback.checked")
    _keep_out(work, written, plan.left_out)
    return _commit(work, written, plan)


def _plan(c: Connection, state: CollectionState, turn: Turn) -> Plan:
    spared = set() if turn.revive_deleted else documents.ids_in_state(c, state.id, documents.WITHDRAWN)
    spared |= documents.ids_purged(c, state.id)
    undone = history.undone(c, state.id, turn.generation, spared)
    out = left_out(c, state.id, turn)
    sources = history.sources_of(c, state.id, turn.generation, undone.documents)
    not_back = {version.version_id for version in out}
    leave, come = spans.turn_back(c, state.id, state.generation, turn.generation, not_back)
    space = Space(**spaces.at(c, state.id, turn.generation).space)
    return Plan(turn, undone, sources, leave, come, state.documents + len(come) - len(leave), out, space)


def _choose_segments(work: Work, written: Written, then: Sequence[Segment]) -> None:
    """What stays as it is, in both generations, is not touched."""
    now = {segment.segment_id: segment for segment in work.holding.state.segments}
    stay = {s.segment_id for s in then if s.segment_id in now and now[s.segment_id].live == s.live}
    written.reopened += [segment for segment in then if segment.segment_id not in stay]
    written.closed += [segment for number, segment in now.items() if number not in stay]


def _verify(work: Work, found: Sequence[Segment]) -> None:
    state = work.holding.state
    present = {segment.segment_id for segment in state.segments if segment.verified}
    for segment in found:
        work.check()
        segment.verified = segment.segment_id in present
        try:
            state.verify(segment)
            state.alive(segment)
        except Corrupt as error:
            raise Refused(f"That generation cannot come back: {error}") from error


def _keep_out(work: Work, written: Written, versions: Sequence[AnyRow]) -> None:
    """Rows of documents that somebody has deleted since stay dead."""
    state, token = work.holding.state, work.holding.lease.token
    closed = {segment.segment_id for segment in written.closed}
    remaining = [segment for segment in state.segments if segment.segment_id not in closed]
    for segment in [*remaining, *written.reopened]:
        alive = _without(state, segment, versions)
        if alive is None:
            continue
        if segment in remaining:
            written.closed.append(segment)
            segment = replace(segment)  # the state keeps its own until the ledger has committed
            written.reopened.append(segment)
        name = live_name(segment.segment_id, written.generation, token)
        segment.live, segment.alive = write_live(state.folder, name, alive), alive
        segment.live_rows = int(alive.sum())
    if versions:
        sync_folder(state.folder / "segments")


def _without(state: CollectionState, segment: Segment, versions: Sequence[AnyRow]) -> Mask | None:
    """Which rows are alive without these versions'; None where none of theirs is."""
    alive = state.alive(segment).copy()
    for version in versions:
        if version.first_batch <= segment.last_batch and segment.first_batch <= version.last_batch:
            rows = state.chunk_file(segment).rows_of_version(version.version_id)
            alive[[row.row for row in rows]] = False
    return None if (alive == state.alive(segment)).all() else alive


def _commit(work: Work, written: Written, plan: Plan) -> Result:
    holding = work.holding
    state, ledger, lease, turn = holding.state, holding.ledger, holding.lease, plan.turn
    said = {"to": turn.generation, "versions": plan.come, "documents": list(plan.sources.items())}
    said["segments"] = [segment_json(segment) for segment in written.reopened]
    retired = [{"version": version_id} for version_id in plan.leave]
    space = None if plan.space == state.space else manifest.describe(plan.space)
    told = {"versions_retired": retired, "rollback": said, "space": space}
    write_commit_record(state, lease.token, written, MAINTENANCE, told)
    result: dict[str, Any] = {"changed": True, "generation": written.generation, "to": turn.generation}
    result |= {"versions_appear": len(plan.come), "versions_disappear": len(plan.leave)}
    reach("ledger.before")
    with lease.write() as c:
        record.checkpoint(c, state, written, MAINTENANCE, plan.documents, settled=0)
        versions.close_spans(c, state.id, plan.leave, written.generation)
        versions.open_spans(c, state.id, plan.come, written.generation)
        spaces.go_back(c, state.id, turn.generation, written.generation)
        versions.abandon(c, state.id, plan.undone.begun)
        reach("rollback.spans")
        restore(c, state.id, plan.sources, written.at)
        documents.unread_without_version(c, state.id)
        reach("rollback.documents")
        jobs = rewind(c, state.id, plan.undone, turn.jobs, written.generation)
        result["jobs"] = jobs
        events.record(c, "rolled_back", result, collection_id=state.id)
        work.done(result)(c)
    reach("ledger.after")
    written.adopt_into(state)
    state.documents, state.space = plan.documents, plan.space
    publish(ledger, lease, state)
    return result


def restore(c: Connection, collection_id: str, sources: Mapping[int, list[int]], at: str) -> None:
    """Give documents the values that records of these generations, one after the other, gave them. One at a time."""
    wanted: dict[int, set[int]] = {}
    for doc_id, generations in sources.items():
        for generation in generations:
            wanted.setdefault(generation, set()).add(doc_id)
    begun: set[int] = set()
    for generation in sorted(wanted):
        said: dict[int, dict[str, Any]] = {}  # a commit may say several things of a document
        for doc_id, values in history.values_of(history.record_of(c, collection_id, generation)):
            if doc_id in wanted[generation]:
                before = said.get(doc_id) or ({} if doc_id in begun else UNKNOWN)
                said[doc_id] = {**before, **values, "the_doc": doc_id}
        begun |= said.keys()
        _save(c, collection_id, list(said.values()), at)
    others = (doc_id for doc_id in sources if doc_id not in begun)
    while some := list(islice(others, _DOCUMENTS_AT_ONCE)):
        rows = [{**(UNKNOWN if sources[doc_id] else ABSENT), "the_doc": doc_id} for doc_id in some]
        _save(c, collection_id, rows, at)


def _save(c: Connection, collection_id: str, rows: Sequence[Mapping[str, Any]], at: str) -> None:
    documents.save(c, [], [{**row, "updated_at": at, "the_collection": collection_id} for row in rows])
