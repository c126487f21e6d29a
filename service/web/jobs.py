"""Routes of jobs."""

import json
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Annotated, Any, Literal

from anyio.to_thread import run_sync
from fastapi import APIRouter, Header, Path, Request, Response
from starlette.concurrency import run_in_threadpool

from service.core.job import State, Verb
from service.engine.jobs import Order
from service.engine.roots import resolve
from service.errors import NotReady
from service.web import models
from service.web.problems import documented
from service.web.services import Services
from service.web.shared import Cursor, Given, Limit, answer, unless_known
from service.web.streams import stream

router = APIRouter(prefix="/v1/jobs", tags=["jobs"], responses=documented(422, 429, 503))
_KNOWN = documented(404)
_MOVES = documented(404, 409)
ItemId = Annotated[int, Path(ge=1, lt=1 << 63)]
ItemState = Literal["pending", "in_flight", "done", "skipped", "failed"]


@router.post("", status_code=202, response_model=models.Job, responses=documented(409, 507))
async def create_job(
    body: models.JobOrder,
    request: Request,
    given: Given,
    idempotency_key: Annotated[str, Header(max_length=200)] = "",
) -> Response:
    """Make a job. The same `Idempotency-Key` and body give the first answer again for 24 hours."""
    sent = json.dumps(await request.json(), sort_keys=True).encode()  # the same, however it is written
    job = await run_in_threadpool(_create, given.services, body, sent, idempotency_key)
    return answer(job, 202, {"Location": job["links"]["self"]})


@router.post("/plan", response_model=models.Plan, responses=documented(409))
async def plan_job(body: models.JobOrder, given: Given) -> Response:
    """What such a job would add, update, leave and remove (with the digest that confirms it); changes nothing."""
    return answer(await run_sync(partial(_plan, given.services, body), limiter=given.long))


@router.get("", response_model=models.JobPage)
async def list_jobs(
    given: Given,
    state: State | None = None,
    collection: str | None = None,
    cursor: Cursor = None,
    limit: Limit = 50,
) -> Response:
    """Jobs, newest first."""
    return answer(await run_in_threadpool(given.services.jobs.listing, state, collection, cursor, limit))


@router.get("/{job_id}", response_model=models.Job, responses={304: {"description": "Unchanged"}, **_KNOWN})
async def get_job(
    job_id: str, given: Given, if_none_match: Annotated[str | None, Header()] = None
) -> Response:
    """One job, at most a tenth of a second old; its `version` is the entity tag."""
    return unless_known(await given.jobs.get(job_id), if_none_match)


def _asking(verb: Verb) -> Callable[[str, Given], Awaitable[Response]]:
    async def ask(job_id: str, given: Given) -> Response:
        """Record the wish; repeating it changes nothing."""
        job = await run_in_threadpool(given.services.jobs.ask, job_id, verb)
        given.jobs.forget(job_id)
        return answer(job, 202)

    return ask


for _verb in Verb:
    router.add_api_route(
        f"/{{job_id}}/{_verb}",
        _asking(_verb),
        methods=["POST"],
        name=f"{_verb}_job",
        status_code=202,
        response_model=models.Job,
        responses=_MOVES,
    )


@router.get("/{job_id}/items", response_model=models.ItemPage, responses=_KNOWN)
async def list_items(
    job_id: str, given: Given, state: ItemState | None = None, cursor: Cursor = None, limit: Limit = 100
) -> Response:
    """What the job has to do, one by one; unchanged documents are a counter only."""
    return answer(await run_in_threadpool(given.services.jobs.items, job_id, state, cursor, limit))


@router.post("/{job_id}/items/{item}/retry", status_code=202, response_model=models.Job, responses=_MOVES)
async def retry_item(job_id: str, item: ItemId, given: Given) -> Response:
    """Try one failed item again."""
    job = await run_in_threadpool(given.services.jobs.retry_item, job_id, item)
    given.jobs.forget(job_id)
    return answer(job, 202)


@router.post("/{job_id}/items/{item}/skip", status_code=202, response_model=models.Job, responses=_MOVES)
async def skip_item(job_id: str, item: ItemId, given: Given) -> Response:
    """Do without one item: accept its failure, or do not begin it."""
    job = await run_in_threadpool(given.services.jobs.skip_item, job_id, item)
    given.jobs.forget(job_id)
    return answer(job, 202)


@router.get("/{job_id}/checkpoints", response_model=models.CheckpointPage, responses=_KNOWN)
async def list_job_checkpoints(
    job_id: str, given: Given, cursor: Cursor = None, limit: Limit = 20
) -> Response:
    """The checkpoints that the job has made, newest first."""
    return answer(await run_in_threadpool(given.services.jobs.checkpoints, job_id, cursor, limit))


@router.get(
    "/{job_id}/events",
    response_class=Response,
    responses={200: {"content": {"text/event-stream": {}}}, 204: {"description": "Finished"}, **_KNOWN},
)
async def job_events(
    job_id: str, given: Given, last_event_id: Annotated[str | None, Header()] = None
) -> Response:
    """Server-sent events until the job is finished; an event's id is the job's version.

    After `Last-Event-ID` what was missed is replayed; where that is not possible `reset` says so. Every change
    is followed by a `snapshot`: the whole job. 204 when the job is finished and nothing was missed.
    """
    return await stream(given.services.jobs, given.jobs, job_id, last_event_id)


def _plan(services: Services, body: models.JobOrder) -> dict[str, Any]:
    where = resolve(services.library_roots, body.source.root, body.source.path)
    options = body.model_dump(exclude={"source"})
    order = Order(path=where.path, root=where.root, folder=where.folder, **options)
    return services.make_planner().plan(order)


def _create(services: Services, body: models.JobOrder, sent: bytes, idempotency_key: str) -> dict[str, Any]:
    if idempotency_key and (first := services.jobs.answered(idempotency_key, sent)):
        return first
    if not services.ingestion_enabled:
        raise NotReady("Nothing is ingested here: ingestion.enabled is false.")
    where = resolve(services.library_roots, body.source.root, body.source.path)
    options = body.model_dump(exclude={"source"})
    return services.jobs.create(
        Order(path=where.path, root=where.root, folder=where.folder, **options), idempotency_key, sent
    )
