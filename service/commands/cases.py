"""What commands ask for: of the data folder here, or of a running service. Both tell the same JSON."""

from collections.abc import Mapping
from typing import Any, Protocol

from service.core.job import Verb

View = Mapping[str, Any]


class Cases(Protocol):
    """The use cases. All raise what their errors are: NotFound, BadRequest, Conflict here; Declined and Away there."""

    def settle_the_dead(self) -> None:
        """See that a killed worker's job is not running any more."""

    def job(self, job_id: str) -> View:
        """One job."""

    def jobs(self, limit: int) -> View:
        """The newest jobs."""

    def ask(self, job_id: str, verb: Verb) -> View:
        """The job after a wish."""

    def collections(self) -> list[View]:
        """All collections by name."""

    def checkpoints(self, name: str, limit: int) -> View:
        """A collection's newest checkpoints."""

    def documents(self, name: str, wanted: Mapping[str, Any]) -> View:
        """A page of documents; `wanted`: state, prefix, cursor, limit."""

    def document(self, name: str, which: Mapping[str, Any]) -> View:
        """One document with its chunks, by `key` or `doc_id`."""

    def search(self, name: str, text: str, k: int) -> View:
        """The chunks nearest to a question."""

    def plan(self, order: Mapping[str, Any]) -> View:
        """What a job would do; `order`: path, root, collection, mode."""
