"""The commands' use cases, asked of a running service; and `ingest` there, followed from here."""

import time
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel

from service.client import Client, Declined
from service.commands.cases import View
from service.commands.console import say
from service.commands.follow import Display, display
from service.commands.outcome import SHOWN_FAILURES, Intent, refuse_another, report
from service.core.job import State, Verb
from service.errors import BadRequest
from service.web import models


class There:
    """See `Cases`."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def settle_the_dead(self) -> None:
        """The service does."""

    def job(self, job_id: str) -> View:
        """One job."""
        return _view(self._client.job(job_id))

    def jobs(self, limit: int) -> View:
        """The newest jobs."""
        return _view(self._client.job_page(limit))

    def ask(self, job_id: str, verb: Verb) -> View:
        """The job after a wish."""
        return _view(self._client.ask(job_id, verb))

    def collections(self) -> list[View]:
        """All collections by name."""
        return [_view(each) for each in self._client.collections()]

    def checkpoints(self, name: str, limit: int) -> View:
        """A collection's newest checkpoints."""
        return _view(self._client.checkpoint_page(name, limit))

    def documents(self, name: str, wanted: Mapping[str, Any]) -> View:
        """A page of documents."""
        return _view(self._client.document_page(name, **wanted))

    def document(self, name: str, which: Mapping[str, Any]) -> View:
        """One document with its chunks."""
        return _view(self._client.document(name, **which))

    def search(self, name: str, text: str, k: int) -> View:
        """The chunks nearest to a question."""
        return _view(self._client.search(name, models.SearchQuery(text=text, k=k)))

    def plan(self, order: Mapping[str, Any]) -> View:
        """What a job would do; the path is one there."""
        return _view(self._client.plan(_order(**order)))


def ingest_at(
    server: str, path: str, root: str | None, collection: str, intent: Intent, silent: bool
) -> tuple[dict[str, Any], State]:
    """Order a job of a folder there, and watch it until it is settled or paused; (what to report, its state).

    Ctrl-C ends the watching, not the job. Raises BadRequest, Conflict, Declined, Away.
    """
    with Client(server) as client, display(silent) as shown:
        return ingest(client, {"path": path, "root": root, "collection": collection}, intent, shown)


def ingest(
    client: Client, ordered: Mapping[str, Any], intent: Intent, shown: Display
) -> tuple[dict[str, Any], State]:
    """The same with a client; `ordered`: path, root, collection."""
    if intent.resume:
        raise BadRequest("--resume works on this machine: `tidestone resume JOB --server URL` goes on there.")
    began, name = time.monotonic(), ordered["collection"]
    before = _collection(client, name)
    first = _job(
        client, _order(mode="fresh" if intent.fresh else "incremental", **ordered, **intent.given), intent
    )
    last = _see_through(client, first.id, shown)
    failures = [
        _view(item) for _, item in zip(range(SHOWN_FAILURES), client.items(first.id, "failed"), strict=False)
    ]
    told = report(_view(first), _view(last), time.monotonic() - began, before, _collection(client, name))
    return told | {"failures": failures}, last.state


def _job(client: Client, order: models.JobOrder, intent: Intent) -> models.Job:
    """A new job; or the unfinished one of the same source, which the same command goes on with."""
    try:
        return client.create_job(order)
    except Declined as error:
        if "job" not in error.more:
            raise
        other = client.job(error.more["job"])
    if not intent.fresh:
        return _go_on(client, other, intent)
    client.ask(other.id, Verb.CANCEL)
    for _ in client.follow(other.id):
        pass
    return client.create_job(order)


def _go_on(client: Client, job: models.Job, intent: Intent) -> models.Job:
    refuse_another(_view(job), job.options, intent.given, "--fresh cancels it.")
    return client.ask(job.id, Verb.RESUME) if job.state == State.INTERRUPTED else job


def _see_through(client: Client, job_id: str, shown: Display) -> models.Job:
    try:
        for job in client.follow(job_id):
            shown.show(_view(job))
            if job.state == State.PAUSED:
                break
    except KeyboardInterrupt:
        say(f"{job_id} goes on there; `tidestone pause {job_id} --server URL` pauses it.")
    return client.job(job_id)


def _collection(client: Client, name: str) -> View:
    try:
        return _view(client.collection(name))
    except Declined as error:
        if error.status != 404:
            raise
        return {}


def _order(path: str, root: str | None, **options: Any) -> models.JobOrder:
    source = models.LibrarySource(type="library", path=path, root=root)
    return models.JobOrder(source=source, **options)


def _view(answer: BaseModel) -> dict[str, Any]:
    """As the service has said it: without the fields that it did not."""
    return answer.model_dump(mode="json", exclude_unset=True)
