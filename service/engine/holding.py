"""What whoever holds a collection's lease works with, and the maintenance that may come in between."""

from collections.abc import Callable
from dataclasses import dataclass
from threading import Event
from typing import Protocol

from sqlalchemy import Connection

from service.engine.commit import Committer
from service.engine.lease import Lease
from service.engine.settings import EngineSettings
from service.engine.state import CollectionState
from service.ledger import collections
from service.ledger.database import Ledger


@dataclass(frozen=True, slots=True)
class Holding:
    """One lease, the collection's state under it, and the only committer there is."""

    ledger: Ledger
    settings: EngineSettings
    lease: Lease
    state: CollectionState
    committer: Committer

    @classmethod
    def of(cls, ledger: Ledger, settings: EngineSettings, lease: Lease, store_id: str) -> "Holding":
        """The collection as the last commit left it; whoever opens it closes `state`. Raises NotFound."""
        with ledger.read() as c:
            folder = settings.folder(collections.by_id(c, lease.collection_id).name)
            state = CollectionState.load(c, lease.collection_id, folder, store_id)
        return cls(ledger, settings, lease, state, Committer(ledger, lease, state))


class Chores(Protocol):
    """Maintenance, as the engine sees it."""

    def waiting(self, c: Connection, collection_id: str) -> bool:
        """Whether there is something that the holder of a job may do between two commits."""

    def serve(self, holding: Holding, check: Callable[[], None]) -> None:
        """Do what waits, with nothing of the job in hand. Raises what commits raise, and what `check` raises."""

    def serve_idle(self, holder: str, stop: Event) -> bool:
        """Do what waits for collections that no job holds; whether there was anything. Raises TryAgain."""


class NoChores:
    """For who only ingests."""

    def waiting(self, c: Connection, collection_id: str) -> bool:
        """Never."""
        return False

    def serve(self, holding: Holding, check: Callable[[], None]) -> None:
        """Nothing."""

    def serve_idle(self, holder: str, stop: Event) -> bool:
        """Nothing."""
        return False
