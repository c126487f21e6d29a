"""Order collections of garbage, now and then, where there may be some."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from threading import Event

from sqlalchemy import Connection

from service.core.upkeep import Kind
from service.engine.settings import EngineSettings
from service.errors import TryAgain
from service.ledger import collections, garbage, tasks
from service.ledger.database import AnyRow, Ledger
from service.ledger.garbage import Seen
from service.maintenance.collect import is_due, seen_now

LOOK_SECONDS = 300.0

log = logging.getLogger("tidestone.collector")


@dataclass
class Collector:
    """One per process that works; it only orders."""

    ledger: Ledger
    settings: EngineSettings
    now: Callable[[], Seen] = seen_now

    def run(self, stop: Event) -> None:
        """Look until `stop` is set."""
        while not stop.wait(LOOK_SECONDS):
            try:
                self.look()
            except TryAgain as error:  # the next look will do
                log.warning("nothing can be collected now: %s", error)

    def look(self) -> int:
        """Order what is worth it; how many collections of documents it is for."""
        with self.ledger.write() as c:
            worth = [row for row in collections.listing(c) if self._is_worth_it(c, row)]
            for row in worth:
                tasks.create(c, row, Kind.COLLECT, {})
        return len(worth)

    def _is_worth_it(self, c: Connection, row: AnyRow) -> bool:
        if row.state != "active" or tasks.is_ordered(c, row.id, Kind.COLLECT):
            return False
        waiting = garbage.listing(c, row.id)
        grace_seconds, now = self.settings.gc_grace_seconds, self.now()
        due = any(is_due(each, grace_seconds, now) or each.boot != now[0] for each in waiting)
        return due or bool(row.generation > row.kept_from)
