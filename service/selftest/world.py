"""A ledger, a folder of documents and a worker with fakes behind its ports; files and ledger are real."""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from threading import Event
from typing import Any

from service.core.job import Verb
from service.core.upkeep import Kind
from service.engine.jobs import Jobs, Order
from service.engine.lease import Observer
from service.engine.planning import Planner
from service.engine.settings import EngineSettings
from service.engine.tools import Tools
from service.engine.worker import Worker
from service.index import merge_child
from service.index.files import make_data_folder
from service.ledger.database import Ledger, sqlite_url, store_identity
from service.ledger.migrate import migrate
from service.ledger.revision import is_current
from service.maintenance.duties import DUTIES
from service.maintenance.keeper import Keeper
from service.maintenance.merger import Merger
from service.maintenance.orders import Orders
from service.maintenance.reindex import TENURES
from service.maintenance.verify import verify_collection
from service.maintenance.work import Duty
from service.ports import Source
from service.selftest.fake_embedder import FakeEmbedder
from service.selftest.fake_preparer import FakePreparer
from service.sources.library import Library

OLD = 1_600_000_000  # a modification time that is old enough to be trusted


@dataclass
class World:
    """Everything that one run needs; `library` is the folder that is ingested into collection `docs`."""

    folder: Path
    settings: EngineSettings = field(init=False)
    ledger: Ledger = field(init=False)
    embedder: FakeEmbedder = field(default_factory=FakeEmbedder)
    embedder_of_keepers: FakeEmbedder | None = None  # of maintenance: most processes that do some have none
    preparer: FakePreparer = field(default_factory=FakePreparer)
    stop: Event = field(default_factory=Event)
    duties: Mapping[Kind, Duty] = field(default_factory=lambda: DUTIES)
    open_source: Callable[[Any], Source] = lambda job: Library(Path(job.path))

    def __post_init__(self) -> None:
        self.library = self.folder / "library"
        self.library.mkdir(exist_ok=True)
        data = self.folder / "data"
        make_data_folder(data)
        self.settings = EngineSettings(data, batch_size=3, min_free_bytes=0)
        self.ledger = Ledger.open(sqlite_url(data))
        if not is_current(self.ledger):
            migrate(self.ledger)

    def configure(self, **changes: Any) -> None:
        """Change engine settings."""
        self.settings = replace(self.settings, **changes)

    def write(self, name: str, text: str, mtime: int = OLD) -> Path:
        """Put a document into the library."""
        path = self.library / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        os.utime(path, (mtime, mtime))
        return path

    @property
    def jobs(self) -> Jobs:
        return Jobs(self.ledger, self.settings, lambda: (self.embedder.space, "f32"))

    def order(self, **changes: Any) -> Order:
        return Order(**{"collection": "docs", "path": self.library.resolve(), "root": "library", **changes})

    def worker(self, worker_id: str = "worker-1", dead_seconds: float = 15.0) -> Worker:
        with self.ledger.write() as c:
            store_id = store_identity(c).store_id
        tools = Tools(
            self.ledger,
            store_id,
            self.settings,
            self.preparer,
            self.embedder,
            self.open_source,
            self.keeper(dead_seconds),
            TENURES,
        )
        return Worker(tools, worker_id, self.stop, Observer(dead_seconds))

    def keeper(self, dead_seconds: float = 15.0) -> Keeper:
        return Keeper(
            self.ledger, self.settings, self.duties, Observer(dead_seconds), embedder=self.embedder_of_keepers
        )

    @property
    def merger(self) -> Merger:
        """It makes large merges in this very process."""
        return Merger(self.ledger, self.settings, lambda order, _: merge_child.make(order))

    @property
    def planner(self) -> Planner:
        recipe = self.preparer.recipe.fingerprint
        return Planner(self.ledger, self.settings, lambda path, _: Library(path), lambda: recipe)

    @property
    def orders(self) -> Orders:
        return Orders(self.ledger, self.settings)

    def tend(self, task: Mapping[str, Any]) -> dict[str, Any]:
        """See an ordered task through, while nobody else holds the collection."""
        worker = self.worker()
        worker.tools.chores.serve_idle(worker.worker_id, self.stop)
        return self.orders.get(task["id"])

    def run(self, **changes: Any) -> dict[str, Any]:
        """Create a job and see it through; returns its view."""
        job = self.jobs.create(self.order(**changes))
        assert self.worker().take_one()
        return self.jobs.get(job["id"])

    def resume(self, job_id: str) -> dict[str, Any]:
        """Resume a job and see it through."""
        self.jobs.ask(job_id, Verb.RESUME)
        assert self.worker().take_one()
        return self.jobs.get(job_id)

    @property
    def files(self) -> Path:
        """The collection's folder."""
        return self.settings.folder("docs")

    def verify(self) -> dict[str, Any]:
        return verify_collection(self.ledger, self.settings, "docs")
