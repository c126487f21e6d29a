"""The commands' use cases over the data folder of this machine."""

from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

from service.app import make_planner, make_search
from service.commands.cases import View
from service.core.job import Verb
from service.engine import collections, documents
from service.engine.jobs import Jobs, Order
from service.engine.lease import Observer
from service.engine.roots import locate
from service.engine.sweep import sweep
from service.settings import Settings


class Here:
    """See `Cases`."""

    def __init__(self, settings: Settings, jobs: Jobs) -> None:
        self._settings, self._jobs = settings, jobs

    def settle_the_dead(self) -> None:
        """A killed worker's job is not running any more."""
        sweep(self._jobs.ledger, Observer(), self._jobs.settings)

    def job(self, job_id: str) -> View:
        """One job."""
        return self._jobs.get(job_id)

    def jobs(self, limit: int) -> View:
        """The newest jobs."""
        return self._jobs.listing(limit=limit)

    def ask(self, job_id: str, verb: Verb) -> View:
        """The job after a wish."""
        return self._jobs.ask(job_id, verb)

    def collections(self) -> list[View]:
        """All collections by name."""
        return [*collections.listing(self._jobs.ledger)]

    def checkpoints(self, name: str, limit: int) -> View:
        """A collection's newest checkpoints."""
        return collections.checkpoints(self._jobs.ledger, name, limit=limit)

    def documents(self, name: str, wanted: Mapping[str, Any]) -> View:
        """A page of documents."""
        return documents.listing(self._jobs.ledger, name, **wanted)

    def document(self, name: str, which: Mapping[str, Any]) -> View:
        """One document with its chunks."""
        return documents.get(self._jobs.ledger, self._jobs.settings, name, **which)

    def search(self, name: str, text: str, k: int) -> View:
        """The chunks nearest to a question."""
        from service.engine.search import Query

        with closing(make_search(self._settings, self._jobs.ledger)) as searching:
            return searching.search(name, Query(text=text, k=k))

    def plan(self, order: Mapping[str, Any]) -> View:
        """What a job would do."""
        where = locate(self._settings.service.library_roots, Path(order["path"]), order["root"])
        planner = make_planner(self._settings, self._jobs.ledger)
        return planner.plan(Order(order["collection"], *where, mode=order["mode"]))
