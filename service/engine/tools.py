"""What a worker needs beyond the ledger; `app.py` puts it together."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from threading import Event
from typing import Protocol

from service.engine.holding import Chores, NoChores
from service.engine.lease import Lease
from service.engine.settings import EngineSettings
from service.ledger.database import AnyRow, Ledger
from service.ports import Embedder, Preparer, Source


class SeesThrough(Protocol):
    """One job under one lease, whatever its kind."""

    def see_through(self) -> None:
        """Recover, then work until the job is settled. Raises what the work raises."""


@dataclass(frozen=True, slots=True)
class Tools:
    """The adapters behind the ports, and the plain values."""

    ledger: Ledger
    store_id: str
    settings: EngineSettings
    preparer: Preparer
    embedder: Embedder
    open_source: Callable[[AnyRow], Source]  # from a job row
    chores: Chores = field(default_factory=NoChores)
    # A job's service -> how it is seen through, given what `Tenure` is given; it is for those not named here.
    tenures: Mapping[str, "Callable[[Tools, Event, AnyRow, Lease, bool], SeesThrough]"] = field(
        default_factory=dict
    )
    embedder_restarts: Callable[[], Mapping[str, int]] = dict  # reason -> children replaced since the start
