"""Order maintenance, and look at what has become of it; loads nothing heavy, so that the API may."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from service.core.upkeep import Kind
from service.engine.cursors import number_of
from service.engine.settings import EngineSettings
from service.ledger import collections, tasks
from service.ledger.database import AnyRow, Ledger


@dataclass(frozen=True, slots=True)
class Orders:
    """The use cases of tasks."""

    ledger: Ledger
    settings: EngineSettings

    def place(self, collection: str, kind: Kind, options: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Order a task whose options need no further look. Raises NotFound."""
        with self.ledger.write() as c:
            return view(tasks.create(c, collections.by_name(c, collection), kind, options or {}))

    def get(self, task_id: str) -> dict[str, Any]:
        """One task. Raises NotFound."""
        with self.ledger.read() as c:
            return view(tasks.get(c, task_id))

    def collection_id_of(self, task_id: str) -> str:
        """The immutable id of the task's collection. Raises NotFound."""
        with self.ledger.read() as c:
            return str(tasks.get(c, task_id).collection_id)

    def listing(
        self, collection: str | None = None, cursor: str | None = None, limit: int = 50
    ) -> dict[str, Any]:
        """Tasks, newest first, with the cursor of the next page."""
        with self.ledger.read() as c:
            rows = tasks.listing(c, collection, number_of(cursor), limit)
        shown = [view(row) for row in rows]
        return {"tasks": shown, "next": str(rows[-1].number) if len(rows) == limit else None}


def view(row: AnyRow) -> dict[str, Any]:
    """A task as REST and the command line show it."""
    shown = ("id", "collection", "kind", "options", "state", "attempts", "result", "error")
    times = ("created_at", "started_at", "finished_at")
    links = {"self": f"/v1/tasks/{row.id}", "collection": f"/v1/collections/{row.collection}"}
    return {name: getattr(row, name) for name in (*shown, *times)} | {"links": links}
