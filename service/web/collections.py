"""Routes of collections."""

from functools import partial
from typing import Annotated, Any

from anyio.to_thread import run_sync
from fastapi import APIRouter, Header, Response
from starlette.concurrency import run_in_threadpool

from service.engine import collections
from service.errors import NotReady, Refused, SpaceMismatch
from service.maintenance import departures
from service.web import models
from service.web.problems import documented
from service.web.receipts import ORDERED, Wait, orders, receipt
from service.web.services import Services
from service.web.shared import Cursor, Given, Limit, Shared, answer, unless_known

router = APIRouter(prefix="/v1/collections", tags=["collections"], responses=documented(422, 429, 503))
_KNOWN = documented(404)
_UNCHANGED: dict[int | str, dict[str, Any]] = {304: {"description": "Unchanged"}}


@router.get("", response_model=models.Collections)
async def list_collections(given: Given) -> Response:
    """All collections by name."""
    found = await run_in_threadpool(collections.listing, given.services.jobs.ledger)
    return answer({"collections": found})


@router.get("/{name}", response_model=models.Collection, responses=_KNOWN)
async def get_collection(name: str, given: Given) -> Response:
    """A collection's space, counts and size."""
    return answer(await run_in_threadpool(collections.describe, given.services.jobs.ledger, name))


@router.delete("/{name}", response_model=models.Task, responses=ORDERED)
async def delete_collection(name: str, given: Given, wait: Wait = 0) -> Response:
    """Delete a collection with its jobs and files; from now on nothing can be ordered for it. The receipt outlives it."""
    task = await run_in_threadpool(departures.drop, orders(given), name)
    answered = await receipt(given, task, wait)
    given.generations.forget(name)
    await run_in_threadpool(_forget_deleted, given)
    return answered


@router.get("/{name}/generation", response_model=models.Generation, responses={**_UNCHANGED, **_KNOWN})
async def get_generation(
    name: str, given: Given, if_none_match: Annotated[str | None, Header()] = None
) -> Response:
    """What to load (published) and what is true (committed), at most a tenth of a second old."""
    return unless_known(await given.generations.get(name), if_none_match)


@router.get("/{name}/checkpoints", response_model=models.CheckpointPage, responses=_KNOWN)
async def list_checkpoints(name: str, given: Given, cursor: Cursor = None, limit: Limit = 20) -> Response:
    """A collection's checkpoints, newest first."""
    ledger, before = given.services.jobs.ledger, None if cursor is None else int(cursor)
    return answer(await run_in_threadpool(collections.checkpoints, ledger, name, before, limit))


@router.post("/{name}/search", response_model=models.Found, responses=documented(404, 409, 500))
async def search(name: str, body: models.SearchQuery, given: Given) -> Response:
    """The nearest live chunks, best first, exact, and the generation they are of."""
    return answer(await run_sync(partial(_search, given, name, body), limiter=given.long))


@router.post("/{name}/verify", response_model=models.Verified, responses=_KNOWN)
async def verify(name: str, given: Given) -> Response:
    """Hash every file and compare all contents with the ledger; takes as long as reading the collection."""
    return answer(await run_sync(partial(_verify, given.services, name), limiter=given.long))


def _search(shared: Shared, name: str, body: models.SearchQuery) -> dict[str, Any]:
    from service.engine.search import Query  # loads FAISS: only a process that is asked to search does

    try:
        return shared.search.get().search(name, Query(body.text, body.vector, body.k, body.where))
    except SpaceMismatch:
        raise
    except Refused as error:  # beside another space, only a model that is not there or cannot be loaded
        raise NotReady(str(error)) from error


def _forget_deleted(shared: Shared) -> None:
    if (search := shared.search.made()) is not None:
        search.forget_deleted()


def _verify(services: Services, name: str) -> dict[str, Any]:
    from service.maintenance.verify import verify_collection  # loads numpy, which serving jobs does without

    return verify_collection(services.jobs.ledger, services.jobs.settings, name)
