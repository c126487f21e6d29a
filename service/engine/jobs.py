"""Use cases of jobs: create, ask, look."""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import Connection

from service.core.job import State, Verb
from service.core.space import Space
from service.engine import collections as collection_cases
from service.engine import views
from service.engine.cursors import number_of
from service.engine.room import require_room
from service.engine.settings import EngineSettings
from service.errors import BadRequest, Conflict, IllegalMove
from service.ledger import collections, events, idempotency, items, jobs, preparations, segments
from service.ledger.database import AnyRow, Ledger

IDEMPOTENCY_HOURS = 24
_ITEM_VERBS = {"failed": ["retry", "skip"], "pending": ["skip"]}


@dataclass(frozen=True, slots=True)
class Order:
    """A job to be made. `path` is absolute; `root` is the name under which its documents' keys begin."""

    collection: str
    path: Path
    root: str
    folder: str = ""  # below `path`: all that the job looks at
    mode: str = "incremental"  # or "fresh": do everything again
    deletes: str | None = None  # off, safe, confirmed; None: as configured
    deletes_digest: str = ""
    batch_size: int | None = None
    workers: int | None = None
    start_paused: bool = False

    @property
    def options(self) -> dict[str, Any]:
        """What the job row keeps."""
        kept = {"mode": self.mode, "deletes": self.deletes, "deletes_digest": self.deletes_digest}
        return {**kept, "batch_size": self.batch_size, "workers": self.workers, "folder": self.folder}


@dataclass(frozen=True, slots=True)
class Jobs:
    """The use cases that REST and the command line share."""

    ledger: Ledger
    settings: EngineSettings
    space: Callable[[], tuple[Space, str]]  # the configured model's space, and its weights' name

    def create(self, order: Order, idempotency_key: str = "", body: bytes = b"") -> dict[str, Any]:
        """Make a job, and its collection if need be; the same key and body give the first answer again.

        Raises BadRequest (also for a key that came with another body), Conflict, SpaceMismatch, TryAgain (disk_low).
        """
        require_room(self.settings, self.ledger)
        space, weights = self.space()
        with self.ledger.write() as c:
            digest = _digest(body or repr(order).encode())
            if idempotency_key:
                answered = _answered(c, idempotency_key, digest)
                if answered is not None:
                    return answered
            collection = collection_cases.ensure(c, order.collection, space, weights)
            source = _source(c, collection.id, order)
            options = {**order.options, "deletes": order.deletes or self.settings.deletes}
            row = jobs.create(c, collection.id, source.id, "library", options, order.start_paused)
            view = views.job_view(c, row)
            if idempotency_key:
                idempotency.put(c, idempotency_key, digest, view)
            return view

    def answered(self, idempotency_key: str, body: bytes) -> dict[str, Any] | None:
        """The first answer to the same key and body, whatever has become of the folder and the job. Raises BadRequest."""
        with self.ledger.write() as c:
            return _answered(c, idempotency_key, _digest(body))

    def ask(self, job_id: str, verb: Verb) -> dict[str, Any]:
        """Record a wish, on a full disk too. Raises NotFound, IllegalMove."""
        return self.ledger.insist(lambda c: _ask(c, job_id, verb))

    def get(self, job_id: str) -> dict[str, Any]:
        """One job. Raises NotFound."""
        with self.ledger.read() as c:
            return views.job_view(c, jobs.get(c, job_id))

    def find(self, order: Order) -> dict[str, Any] | None:
        """The unfinished job of the order's collection and source, else the newest."""
        with self.ledger.read() as c:
            collection = collections.find(c, order.collection)
            source = collection and collections.find_source(c, collection.id, "library", order.root)
            row = None
            if collection and source:
                unfinished = jobs.unfinished_of(c, collection.id, source.id)
                row = unfinished or jobs.latest_of(c, collection.id, source.id)
            return None if row is None else views.job_view(c, row)

    def listing(
        self,
        state: str | None = None,
        collection: str | None = None,
        cursor: str | None = None,
        limit: int = 50,
    ) -> dict[str, Any]:
        """Jobs, newest first, with the cursor of the next page."""
        before = number_of(cursor)
        with self.ledger.read() as c:
            rows = jobs.listing(c, state=state, collection=collection, before=before, limit=limit)
            shown = [views.job_view(c, row) for row in rows]
        return {"jobs": shown, "next": str(rows[-1].number) if len(rows) == limit else None}

    def items(
        self, job_id: str, state: str | None = None, cursor: str | None = None, limit: int = 100
    ) -> dict[str, Any]:
        """A job's work items in order, with the cursor of the next page."""
        with self.ledger.read() as c:
            jobs.get(c, job_id)
            rows = items.listing(c, job_id, state, number_of(cursor) or 0, limit)
        shown = [views.item_view(row) for row in rows]
        return {"items": shown, "next": str(rows[-1].id) if len(rows) == limit else None}

    def retry_item(self, job_id: str, item_id: int) -> dict[str, Any]:
        """Try one failed item again: at once in an unfinished job, else the job is queued for it.

        An item that waits for its try already is left as it is. Raises NotFound, IllegalMove.
        """
        with self.ledger.write() as c:
            row, item = _job_and_item(c, job_id, item_id, "retry", ("pending", "in_flight"))
            if item is None:
                return views.job_view(c, row)
            if row.state == State.COMPLETED_WITH_ERRORS:
                jobs.ask(c, job_id, Verb.RETRY)
            elif row.state == State.FAILED:
                jobs.ask(c, job_id, Verb.RESUME)
            items.retry_failed(c, job_id, item_id)
            return views.job_view(c, jobs.count(c, job_id, "retry", {"failed": -1}))

    def skip_item(self, job_id: str, item_id: int) -> dict[str, Any]:
        """Do without one item: a failure is accepted, what is pending is not begun.

        A job that nothing else keeps from success is queued, so that its outcome is settled anew. What was indexed of
        the document before stays. Raises NotFound, IllegalMove.
        """
        with self.ledger.write() as c:
            row, item = _job_and_item(c, job_id, item_id, "skip", ("skipped",))
            if item is None:
                return views.job_view(c, row)
            if row.state == State.COMPLETED_WITH_ERRORS and row.failed == 1:
                jobs.ask(c, job_id, Verb.RETRY)
            items.skip(c, item_id)
            counts = {"skipped": int(item.op != items.DELETE), "failed": -(item.state == "failed")}
            return views.job_view(c, jobs.count(c, job_id, "skip", counts))

    def checkpoints(self, job_id: str, cursor: str | None = None, limit: int = 20) -> dict[str, Any]:
        """A job's checkpoints, newest first, with the cursor of the next page."""
        with self.ledger.read() as c:
            row = jobs.get(c, job_id)
            points = segments.list_checkpoints(
                c, row.collection_id, job_id=job_id, before=number_of(cursor), limit=limit
            )
        shown = [views.checkpoint_view(point) for point in points]
        return {"checkpoints": shown, "next": str(points[-1].generation) if len(points) == limit else None}

    def events(self, job_id: str, after_version: int) -> tuple[bool, list[dict[str, Any]]]:
        """(Whether history from there on is complete, the events after that version)."""
        with self.ledger.read() as c:
            jobs.get(c, job_id)
            oldest = events.oldest_version(c, job_id)
            rows = events.since(c, job_id, after_version)
        complete = oldest is not None and oldest <= after_version + 1
        return complete, [views.event_view(row) for row in rows]


def _ask(c: Connection, job_id: str, verb: Verb) -> dict[str, Any]:
    before = jobs.get(c, job_id)
    row = jobs.ask(c, job_id, verb)
    again = verb == Verb.RETRY or before.state == State.FAILED
    if again and row.version != before.version and row.state == State.QUEUED:
        count = items.retry_failed(c, job_id)
        row = jobs.count(c, job_id, "retry", {"failed": -count})
    if row.state == State.CANCELLED != before.state:
        preparations.tidy_later(c, row)
    return views.job_view(c, row)


def _job_and_item(
    c: Connection, job_id: str, item_id: int, verb: str, done: Sequence[str]
) -> tuple[AnyRow, AnyRow | None]:
    """The job, and its item unless that is `done` with the verb already. Raises NotFound, IllegalMove."""
    row, item = jobs.get(c, job_id), items.get(c, job_id, item_id)
    allowed = [] if row.state == State.CANCELLED else _ITEM_VERBS.get(item.state, [])
    if item.state in done and row.state != State.CANCELLED:
        return row, None
    if verb not in allowed:
        raise IllegalMove(verb, item.state, allowed, what="item")
    return row, item


def _digest(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()


def _answered(c: Connection, key: str, digest: str) -> dict[str, Any] | None:
    horizon = datetime.now(UTC) - timedelta(hours=IDEMPOTENCY_HOURS)
    idempotency.forget_before(c, horizon.isoformat(timespec="microseconds"))
    row = idempotency.get(c, key)
    if row is None:
        return None
    if row.body_sha256 != digest:
        raise BadRequest(f"Idempotency-Key {key!r} came with another body before: use a new key.")
    response: dict[str, Any] = row.response
    return response


def _source(c: Connection, collection_id: str, order: Order) -> AnyRow:
    known = collections.find_source(c, collection_id, "library", order.root)
    moved = known is not None and known.path != str(order.path)
    if known is not None and moved and Path(known.path).is_dir() and Path(known.path) != order.path:
        raise Conflict(
            f"{order.root!r} stands for {known.path} in this collection, and that folder is still there: "
            f"give {order.path} a root name of its own (`root` in a request, --root on the command line)."
        )
    return collections.put_source(c, collection_id, "library", order.root, str(order.path))
