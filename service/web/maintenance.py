"""Routes of maintenance: each places an order, which whoever holds the collection carries out."""

from typing import Any

from fastapi import APIRouter, Response
from starlette.concurrency import run_in_threadpool

from service.core.upkeep import Kind
from service.errors import NotReady
from service.maintenance.reindex_order import Reindexing
from service.web import models
from service.web.problems import documented
from service.web.receipts import ORDERED, Wait, orders, receipt
from service.web.shared import Cursor, Given, Limit, Shared, answer

router = APIRouter(prefix="/v1", tags=["maintenance"], responses=documented(422, 429, 503))
_KNOWN = documented(404)


@router.get("/tasks", response_model=models.TaskPage)
async def list_tasks(
    given: Given, collection: str | None = None, cursor: Cursor = None, limit: Limit = 50
) -> Response:
    """Maintenance tasks, newest first."""
    return answer(await run_in_threadpool(orders(given).listing, collection, cursor, limit))


@router.get("/tasks/{task_id}", response_model=models.Task, responses=_KNOWN)
async def get_task(task_id: str, given: Given) -> Response:
    """One task: its state, and its result or why it was refused."""
    return answer(await run_in_threadpool(orders(given).get, task_id))


@router.post("/collections/{name}/repair", response_model=models.Task, responses=ORDERED)
async def repair(name: str, given: Given, wait: Wait = 0) -> Response:
    """Take what is damaged out of use, and bring files and ledger into agreement."""
    task = await run_in_threadpool(orders(given).place, name, Kind.REPAIR)
    return await receipt(given, task, wait)


@router.post(
    "/collections/{name}/reindex",
    status_code=202,
    response_model=models.Job,
    responses=documented(404, 409, 507),
)
async def reindex(name: str, given: Given, body: models.ReindexOrder | None = None) -> Response:
    """Make a job that embeds the collection's stored texts with the configured model, beside what is in use.

    It is paused, resumed and cancelled as every job is. The collection changes its space in one commit at its end.
    """
    start_paused = body is not None and body.start_paused
    job = await run_in_threadpool(_reindex, given, name, start_paused)
    return answer(job, 202, {"Location": job["links"]["self"]})


def _reindex(given: Shared, name: str, start_paused: bool) -> dict[str, Any]:
    if not given.services.ingestion_enabled:
        raise NotReady("Nothing is embedded here: ingestion.enabled is false.")
    return Reindexing(given.services.jobs).create(name, start_paused)


@router.post("/collections/{name}/collect", response_model=models.Task, responses=ORDERED)
async def collect(name: str, given: Given, wait: Wait = 0) -> Response:
    """Remove files that no kept generation needs any more, after their grace; a worker does so by itself."""
    task = await run_in_threadpool(orders(given).place, name, Kind.COLLECT)
    return await receipt(given, task, wait)
