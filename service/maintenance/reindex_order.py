"""Order a reindex job; loads nothing heavy, so that the API may."""

import shutil
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection

from service.core.space import Space
from service.engine import views
from service.engine.jobs import Jobs
from service.errors import Conflict, TryAgain
from service.ledger import collections, jobs, segments
from service.ledger.database import AnyRow

SOURCE = "reindex"  # the type of its source, and its service


@dataclass(frozen=True, slots=True)
class Reindexing:
    """The use case that REST and the command line share."""

    jobs: Jobs

    def create(self, collection: str, start_paused: bool = False) -> dict[str, Any]:
        """Make the job that moves a collection into the configured model's space.

        Raises NotFound, Conflict (nothing to do, another such job, a collection that is going), TryAgain (disk_low), and
        what looking for the model raises.
        """
        space, weights = self.jobs.space()
        options = {"space": space.fingerprint, "weights": weights, "model": space.model}
        with self.jobs.ledger.write() as c:
            row = collections.by_name(c, collection)
            _refuse(row, space)
            self._require_room(c, row, space)
            source = collections.put_source(c, row.id, SOURCE, "", "")
            return views.job_view(c, jobs.create(c, row.id, source.id, SOURCE, options, start_paused))

    def unfinished(self, collection: str) -> dict[str, Any] | None:
        """The collection's unfinished reindex job. Raises NotFound."""
        with self.jobs.ledger.read() as c:
            row = collections.by_name(c, collection)
            source = collections.find_source(c, row.id, SOURCE, "")
            found = source and jobs.unfinished_of(c, row.id, source.id)
            return views.job_view(c, found) if found else None

    def _require_room(self, c: Connection, row: AnyRow, space: Space) -> None:
        """The new vectors and one more copy of the texts must fit beside what is there."""
        texts = sum(segment.chunks["bytes"] for segment in segments.live(c, row.id))
        needed = row.vectors * space.dimensions * 4 + texts
        free = shutil.disk_usage(self.jobs.settings.data_dir).free
        if free < needed + self.jobs.settings.min_free_bytes:
            raise TryAgain(
                "disk_low",
                f"{free} bytes are free; the new space needs about {needed} beside the old one, and "
                f"{self.jobs.settings.min_free_bytes} are to stay free",
            )


def _refuse(row: AnyRow, space: Space) -> None:
    if row.state != "active":
        raise Conflict(f"Collection {row.name!r} is being deleted.")
    if Space(**row.space).fingerprint == space.fingerprint:
        raise Conflict(
            f"There is nothing to do: {row.name!r} is in the configured model's space already "
            f"({space.model}). Configure the other model first (embedding.model_path)."
        )
