"""Going back to a generation, and looking at what that would change; loads nothing heavy, so that the API may."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from sqlalchemy import Connection

from service.core.job import State
from service.core.upkeep import Kind
from service.engine import views
from service.engine.cursors import number_of
from service.errors import BadRequest, Conflict, NotFound
from service.ledger import collections, documents, jobs, retained, segments, spans, tasks
from service.ledger.database import AnyRow, Ledger
from service.ledger.spans import Difference
from service.maintenance.orders import view

SHOWN = 20  # documents in a preview
_STANDS_STILL = (State.PAUSED, State.INTERRUPTED, State.FAILED)


@dataclass(frozen=True, slots=True)
class Turn:
    """A rollback as it is ordered."""

    generation: int
    jobs: tuple[str, ...] = ()  # unfinished ones whose commits may be undone
    revive_deleted: bool = False  # also documents that somebody has deleted since

    @classmethod
    def of(cls, options: Mapping[str, Any]) -> "Turn":
        """From a task's options."""
        return cls(options["generation"], tuple(options["jobs"]), options["revive_deleted"])

    @property
    def options(self) -> dict[str, Any]:
        """What the task keeps."""
        return {"generation": self.generation, "jobs": [*self.jobs], "revive_deleted": self.revive_deleted}


@dataclass(frozen=True, slots=True)
class Generations:
    """The use cases of generations."""

    ledger: Ledger

    def order(self, collection: str, turn: Turn) -> dict[str, Any]:
        """Order a rollback. Raises NotFound, BadRequest, Conflict."""
        with self.ledger.write() as c:
            row = collections.by_name(c, collection)
            check(c, row, turn)
            return view(tasks.create(c, row, Kind.ROLLBACK, turn.options))

    def preview(self, collection: str, turn: Turn) -> dict[str, Any]:
        """What a rollback would do now, and why it would be refused. Raises NotFound, and Conflict where it is gone."""
        with self.ledger.read() as c:
            row = collections.by_name(c, collection)
            retained.require(c, row, turn.generation)
            out = left_out(c, row.id, turn)
            told = _told(spans.tally(c, row.id, row.generation, turn.generation), len(out))
            staying = {version.version_id for version in out}
            changes = spans.delta(c, row.id, row.generation, turn.generation)
            shown = list(islice((_shown(each) for each in changes if each.after not in staying), SHOWN))
            affected = _affected(c, row.id, turn)
            refused = _refusal(c, row, turn)
        place = {"collection": collection, "from": row.generation, "to": turn.generation}
        return {**place, **told, "documents": shown, "jobs": affected, "refused": refused}

    def diff(
        self, collection: str, start: int, end: int | None, cursor: str | None = None, limit: int = 100
    ) -> dict[str, Any]:
        """How two generations differ, document by document; `end`: the newest where it is left out.

        Raises NotFound, BadRequest, Conflict.
        """
        after = number_of(cursor) or 0
        with self.ledger.read() as c:
            row = collections.by_name(c, collection)
            end = row.generation if end is None else end
            for generation in (start, end):
                retained.require(c, row, generation)
            found = list(spans.delta(c, row.id, start, end, after=after, limit=limit))
            told = _told(spans.tally(c, row.id, start, end), 0)
        following = str(found[-1].doc_id) if len(found) == limit else None
        place = {"collection": collection, "from": start, "to": end}
        return {**place, **told, "documents": [_shown(each) for each in found], "next": following}

    def pin(self, collection: str, generation: int, pinned: bool) -> dict[str, Any]:
        """Keep a generation until it is unpinned, or not any longer than others; its checkpoint.

        Raises NotFound, and Conflict where it is not whole any more.
        """
        with self.ledger.write() as c:
            return _pin(c, collections.by_name(c, collection), generation, pinned)

    def pin_of_job(self, job_id: str, generation: int, pinned: bool) -> dict[str, Any]:
        """The same with a checkpoint that a job has made. Raises NotFound, Conflict."""
        with self.ledger.write() as c:
            collection = collections.by_id(c, jobs.get(c, job_id).collection_id)
            if _checkpoint(c, collection, generation).job_id != job_id:
                raise NotFound("checkpoint", generation)
            return _pin(c, collection, generation, pinned)


def _pin(c: Connection, collection: AnyRow, generation: int, pinned: bool) -> dict[str, Any]:
    _checkpoint(c, collection, generation)
    if pinned:
        retained.require(c, collection, generation)
    segments.pin(c, collection.id, generation, pinned)
    return views.checkpoint_view(_checkpoint(c, collection, generation))


def _checkpoint(c: Connection, collection: AnyRow, generation: int) -> AnyRow:
    found = segments.checkpoint(c, collection.id, generation)
    if found is None:
        raise NotFound("checkpoint", generation)
    return found


def check(c: Connection, collection: AnyRow, turn: Turn) -> None:
    """Raise NotFound, BadRequest or Conflict where a rollback cannot be: says what to do about it."""
    retained.require(c, collection, turn.generation)
    for job_id in turn.jobs:
        job = jobs.get(c, job_id)
        if job.collection_id != collection.id:
            raise BadRequest(f"Job {job_id} is one of the collection {job.collection!r}.")
        if State(job.state) not in _STANDS_STILL:
            raise Conflict(
                f"Job {job_id} is {job.state}: only a paused, interrupted or failed job can be rewound."
            )
    committed = segments.jobs_since(c, collection.id, turn.generation)
    for job in jobs.unfinished_in(c, collection.id):
        if job.id in committed and job.id not in turn.jobs:
            raise Conflict(
                f"Job {job.id} is {job.state} and has committed since generation {turn.generation}: pause it and "
                "name it, so that it does that again, or cancel it."
            )


def left_out(c: Connection, collection_id: str, turn: Turn) -> Sequence[AnyRow]:
    """The versions of that generation that do not come back, because somebody has deleted their documents since."""
    if turn.revive_deleted:
        return []
    return spans.in_state_at(c, collection_id, documents.WITHDRAWN, turn.generation)


def _refusal(c: Connection, collection: AnyRow, turn: Turn) -> str | None:
    try:
        check(c, collection, turn)
    except Conflict as error:
        return str(error)
    return None


def _affected(c: Connection, collection_id: str, turn: Turn) -> list[dict[str, Any]]:
    committed = segments.jobs_since(c, collection_id, turn.generation)
    found = jobs.unfinished_in(c, collection_id, turn.jobs)
    return [{"id": job.id, "state": job.state} for job in found if job.id in committed]


def _told(tally: spans.Tally, left_out: int) -> dict[str, int]:
    counts = tally._replace(added=tally.added - left_out)
    appear, disappear = counts.added + counts.changed, counts.removed + counts.changed
    versions = {"versions_appear": appear, "versions_disappear": disappear}
    return {**counts._asdict(), **versions, "left_out": left_out}


def _shown(each: Difference) -> dict[str, Any]:
    change = "added" if each.before is None else "removed" if each.after is None else "changed"
    return {**each._asdict(), "change": change}
