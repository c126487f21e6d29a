"""What a worker needs beyond the ledger; `app.py` puts it together."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from service.engine.holding import Chores, NoChores
from service.engine.settings import EngineSettings
from service.ledger.database import AnyRow, Ledger
from service.ports import Embedder, Preparer, Source


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
    embedder_restarts: Callable[[], Mapping[str, int]] = dict  # reason -> children replaced since the start
