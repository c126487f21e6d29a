"""A Tidestone service over its REST API: for crawlers, frontends, and this command line's --server."""

import random
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Self, TypeVar
from urllib.parse import quote
from uuid import uuid4

import httpx
from pydantic import BaseModel

from service.bounds import MOST_LISTED
from service.core.job import UNFINISHED, State, Verb
from service.errors import BadRequest, TidestoneError
from service.web import models

PATIENCE_SECONDS = 60.0
TIMEOUT_SECONDS = 120.0  # an answer: a plan lists its whole folder, a delete may be waited for
CONNECT_SECONDS = 5.0
POLL_SECONDS = 0.5
_FIRST_WAIT_SECONDS, _LONGEST_WAIT_SECONDS = 0.2, 5.0
_PASSING = (429, 502, 503, 504)

Answer = TypeVar("Answer", bound=BaseModel)
Page = TypeVar("Page", models.JobPage, models.ItemPage, models.DocumentPage)
Sleep = Callable[[float], None]


class Declined(TidestoneError):
    """The service has answered, and will not do it: its text says why, `code` says so to programs."""

    def __init__(self, status: int, code: str, detail: str, more: Mapping[str, Any]) -> None:
        super().__init__(detail)
        self.status, self.code, self.more = status, code, more


class Away(TidestoneError):
    """No answer for as long as one was waited for: is the service running, and is that its address?"""


class Client:
    """Threads may share one; close it, or use it as a context manager.

    Whatever meets a service that is away, busy or limits its callers is asked again until `patience_seconds` are over.
    Every method may be repeated: what a lost answer had already done is not done twice. All raise Declined and Away.
    """

    def __init__(
        self, server: str, patience_seconds: float = PATIENCE_SECONDS, sleep: Sleep = time.sleep
    ) -> None:
        """Raises BadRequest for what is no address."""
        if not server.startswith(("http://", "https://")):
            raise BadRequest(f"{server!r} is no service's address: give it as http://host:port.")
        timeout = httpx.Timeout(TIMEOUT_SECONDS, connect=CONNECT_SECONDS)
        try:
            self._http = httpx.Client(base_url=server, timeout=timeout)
        except httpx.InvalidURL as error:
            raise BadRequest(f"{server!r} is no service's address: {error}.") from error
        self._server, self._patience_seconds, self._sleep = server, patience_seconds, sleep

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the connections."""
        self._http.close()

    def create_job(self, order: models.JobOrder) -> models.Job:
        """Make a job, once, however often it has to be asked for."""
        headers = {"Idempotency-Key": uuid4().hex}
        return self._one(models.Job, "POST", "/v1/jobs", json=_sent(order), headers=headers)

    def plan(self, order: models.JobOrder) -> models.Plan:
        """What such a job would do; changes nothing."""
        return self._one(models.Plan, "POST", "/v1/jobs/plan", json=_sent(order))

    def job(self, job_id: str) -> models.Job:
        """One job."""
        return self._one(models.Job, "GET", f"/v1/jobs/{_part(job_id)}")

    def job_page(self, limit: int, collection: str | None = None) -> models.JobPage:
        """The newest jobs."""
        asked = {"limit": limit, "collection": collection}
        return self._one(models.JobPage, "GET", "/v1/jobs", params=_given(asked))

    def jobs(self, collection: str | None = None, state: State | None = None) -> Iterator[models.Job]:
        """Jobs, newest first."""
        asked = {"collection": collection, "state": state}
        return self._pages(models.JobPage, lambda page: page.jobs, "/v1/jobs", asked)

    def ask(self, job_id: str, verb: Verb) -> models.Job:
        """Pause, resume, cancel or retry; the job as it is then."""
        return self._one(models.Job, "POST", f"/v1/jobs/{_part(job_id)}/{verb}")

    def items(self, job_id: str, state: str | None = None) -> Iterator[models.Item]:
        """What a job has to do, one by one."""
        path = f"/v1/jobs/{_part(job_id)}/items"
        return self._pages(models.ItemPage, lambda page: page.items, path, {"state": state})

    def follow(self, job_id: str, poll_seconds: float = POLL_SECONDS) -> Iterator[models.Job]:
        """The job now, and again whenever it has changed, until it is settled."""
        known = ""
        while True:
            headers = {"If-None-Match": known} if known else None
            response = self._send("GET", f"/v1/jobs/{_part(job_id)}", headers=headers)
            if response.status_code != httpx.codes.NOT_MODIFIED:
                known = response.headers.get("ETag", "")
                job = _read(models.Job, response)
                yield job
                if job.state not in UNFINISHED:
                    return
            self._sleep(poll_seconds)

    def collections(self) -> list[models.Collection]:
        """All collections by name."""
        return self._one(models.Collections, "GET", "/v1/collections").collections

    def collection(self, name: str) -> models.Collection:
        """One collection's space, counts and size."""
        return self._one(models.Collection, "GET", _of(name))

    def checkpoint_page(self, name: str, limit: int) -> models.CheckpointPage:
        """A collection's newest checkpoints."""
        return self._one(models.CheckpointPage, "GET", f"{_of(name)}/checkpoints", params={"limit": limit})

    def document_page(self, name: str, **filters: Any) -> models.DocumentPage:
        """Documents by id; `filters`: state, prefix, cursor, limit."""
        return self._one(models.DocumentPage, "GET", f"{_of(name)}/documents", params=_given(filters))

    def documents(
        self, name: str, state: str | None = None, prefix: str | None = None
    ) -> Iterator[models.Document]:
        """All documents by id."""
        asked = {"state": state, "prefix": prefix}
        return self._pages(models.DocumentPage, lambda page: page.documents, f"{_of(name)}/documents", asked)

    def document(self, name: str, key: str | None = None, doc_id: int | None = None) -> models.Document:
        """One document with its chunks, by its key or its id."""
        path = f"{_of(name)}/documents"
        if key is not None:
            return self._one(models.Document, "GET", path, params={"key": key})
        return self._one(models.Document, "GET", f"{path}/{doc_id}")

    def search(self, name: str, query: models.SearchQuery) -> models.Found:
        """The nearest live chunks, best first."""
        return self._one(models.Found, "POST", f"{_of(name)}/search", json=_sent(query))

    def _pages(
        self,
        kind: type[Page],
        entries: Callable[[Page], list[Any]],
        path: str,
        asked: Mapping[str, Any],
    ) -> Iterator[Any]:
        cursor: str | None = ""
        while cursor is not None:
            params = _given({**asked, "limit": MOST_LISTED, "cursor": cursor or None})
            page = self._one(kind, "GET", path, params=params)
            yield from entries(page)
            cursor = page.next

    def _one(self, kind: type[Answer], method: str, path: str, **request: Any) -> Answer:
        return _read(kind, self._send(method, path, **request))

    def _send(self, method: str, path: str, **request: Any) -> httpx.Response:
        """The answer, however often it has to be asked for. Raises Declined, Away."""
        deadline = time.monotonic() + self._patience_seconds
        tries = 0
        while True:
            tries += 1
            response, failed = None, None
            try:
                response = self._http.request(method, path, **request)
            except httpx.TransportError as error:
                failed = error
            if response is not None and response.status_code not in _PASSING:
                return _accepted(response)
            wait = _wait_seconds(tries, response, random.random())
            if time.monotonic() + wait >= deadline:
                if response is not None:
                    return _accepted(response)
                raise Away(
                    f"{self._server} does not answer ({failed}): is the service running there?"
                ) from failed
            self._sleep(wait)


def _wait_seconds(tries: int, response: httpx.Response | None, chance: float) -> float:
    """As long as the service asks for, else longer each time; never the same for all who wait."""
    asked = response.headers.get("Retry-After", "") if response is not None else ""
    if asked.isascii() and asked.isdecimal():
        return float(asked) + 0.1 * chance
    return min(_FIRST_WAIT_SECONDS * 2.0 ** (tries - 1), _LONGEST_WAIT_SECONDS) * (0.5 + 0.5 * chance)


def _accepted(response: httpx.Response) -> httpx.Response:
    if response.is_success or response.status_code == httpx.codes.NOT_MODIFIED:
        return response
    try:
        said = response.json()
        detail, code = str(said["detail"]), str(said["code"])
    except (ValueError, KeyError, TypeError):
        said, code = {}, "not_tidestone"
        detail = (
            f"{response.request.url} answered {response.status_code}, and not as Tidestone does: is it one?"
        )
    raise Declined(response.status_code, code, detail, said)


def _read(kind: type[Answer], response: httpx.Response) -> Answer:
    """What a newer service says beyond what is known here is left out."""
    try:
        return kind.model_validate_json(response.content, extra="ignore")
    except ValueError as error:
        detail = f"{response.request.url} did not answer as Tidestone does: is it one?"
        raise Declined(response.status_code, "not_tidestone", detail, {}) from error


def _of(collection: str) -> str:
    return f"/v1/collections/{_part(collection)}"


def _part(name: str) -> str:
    return quote(name, safe="")


def _given(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value not in (None, "")}


def _sent(body: BaseModel) -> Any:
    return body.model_dump(mode="json", exclude_unset=True)
