"""Which items to take on next, how many of them, and what the feeder is told."""

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from sqlalchemy import Connection

from service.core.keys import file_key
from service.core.pace import MOST_ATTEMPTS, batch_limit
from service.engine.feeder import Feeder
from service.engine.intake import Intake
from service.engine.known_file import KnownFile
from service.engine.lease import Lease
from service.engine.room import require_room
from service.engine.tools import Tools
from service.errors import DocumentFailed
from service.ledger import documents, items
from service.ledger.database import AnyRow, utc_now
from service.ports import FileTask, Source

_LEAST_IN_HAND = 32  # items, however small the batches
_BATCHES_IN_HAND = 2  # so that the embedder has work while one of them is settled and committed
_MOST_AT_ONCE = 1_000
_LOOK_AGAIN_SECONDS = 0.25  # after the ledger had no item to give
_SETTLED = ("indexed", "container", "failed", "skipped")


@dataclass
class Claims:
    """The items that one tenure has in hand."""

    tools: Tools
    lease: Lease
    job: AnyRow
    recipe: str
    source: Source
    batch_size: int
    op: str = items.UPSERT  # of the items that are taken on
    in_hand: set[int] = field(default_factory=set)
    look_again: float = 0.0

    def take_on(self, intake: Intake, feeder: Feeder) -> bool:
        """Hand more items to the feeder while there is room; False when none are left to claim."""
        room = max(_BATCHES_IN_HAND * self.batch_size, _LEAST_IN_HAND) - len(self.in_hand)
        if room <= 0 or (self.in_hand and intake.has_suspects):
            return True
        if time.monotonic() < self.look_again:
            return True  # not known
        with self.tools.ledger.read() as c:
            limit = min(self.batch_size, _MOST_AT_ONCE)
            found = items.next_pending(c, self.job.id, self.op, limit, utc_now())
            if not found:
                self.look_again = time.monotonic() + _LOOK_AGAIN_SECONDS
                return items.earliest_retry(c, self.job.id, self.op) is not None
        attempts = found[0].attempts
        if attempts and self.in_hand:
            return True  # what was in flight when a worker died is tried apart from the others
        alike = [item for item in found if item.attempts == attempts]
        self._start(alike[: batch_limit(len(alike), attempts)], intake, feeder)
        return True

    def let_go(self, ids: Iterable[int]) -> None:
        """These are settled, or back in the ledger's hands."""
        self.in_hand.difference_update(ids)

    def give_back(self) -> None:
        """An orderly stop: all that is in hand is pending again, and no attempt counts."""
        with self.lease.write() as c:
            items.take_back_all(c, self.job.id)
        self.in_hand.clear()

    def known(self, c: Connection, chosen: Sequence[AnyRow]) -> list[KnownFile]:
        """What the ledger knows of these items' files."""
        keys = [file_key(self.job.root, item.folder, item.name) for item in chosen]
        rows = documents.of_files(c, self.job.collection_id, keys)
        return [KnownFile(self.tools.ledger, self.job.collection_id, key, rows.get(key)) for key in keys]

    def _start(self, chosen: Sequence[AnyRow], intake: Intake, feeder: Feeder) -> None:
        require_room(self.tools.settings, self.tools.ledger)
        with self.lease.write() as c:
            started = items.start(c, [item.id for item in chosen])
            chosen = [item for item in chosen if item.id in started]
            known = self.known(c, chosen)
        for item, file in zip(chosen, known, strict=True):
            self.in_hand.add(item.id)
            if file.whole is not None and file.whole.state == "withdrawn":  # since the listing
                intake.leave_out(item, "withdrawn")
            elif item.attempts < MOST_ATTEMPTS:
                intake.open(item, file, feeder.start(item.id, self._task(item, file.whole)))
            else:
                intake.open(item, file, stream=0)
                ends = item.attempts + item.spared
                detail = f"its worker ended uncleanly {ends} times while it was in hand"
                intake.take(item.id, 0, DocumentFailed("poison", detail))

    def _task(self, item: AnyRow, whole: AnyRow | None) -> FileTask:
        again = self.job.options.get("mode") == "fresh" or item.asked
        trusted = whole is not None and whole.state in _SETTLED and whole.recipe == self.recipe and not again
        path = self.source.locate(item.folder, item.name)
        category = item.folder.rsplit("/", 1)[-1] or self.job.root
        metadata = {"source": self.job.root, "category": category, "filename": item.name}
        return FileTask(path, metadata, whole.file_sha256 if trusted and whole is not None else "")
