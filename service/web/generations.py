"""Routes of generations: how they differ, going back to one, keeping one."""

from collections.abc import Callable
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Response
from starlette.concurrency import run_in_threadpool

from service.bounds import MOST_ID
from service.maintenance.generations import Generations, Turn
from service.web import differences, models
from service.web.problems import documented
from service.web.receipts import ORDERED, Wait, receipt
from service.web.shared import Cursor, Given, Limit, Shared, answer

router = APIRouter(prefix="/v1", tags=["generations"], responses=documented(422, 429, 503))
_REFUSED = documented(404, 409)
Number = Annotated[int, Path(ge=0, le=MOST_ID)]
From = Annotated[int, Query(alias="from", ge=0, le=MOST_ID)]
To = Annotated[int | None, Query(ge=0, le=MOST_ID, description="the newest where it is left out")]


@router.get("/collections/{name}/diff", response_model=differences.Diff, responses=_REFUSED)
async def diff(
    name: str, given: Given, start: From, to: To = None, cursor: Cursor = None, limit: Limit = 100
) -> Response:
    """How two kept generations differ: the net difference, document by document."""
    return answer(await run_in_threadpool(_generations(given).diff, name, start, to, cursor, limit))


@router.post(
    "/collections/{name}/rollback",
    response_model=models.Task | differences.Preview,
    responses=ORDERED,
)
async def rollback(name: str, body: differences.RollbackOrder, given: Given, wait: Wait = 0) -> Response:
    """Make the collection what it was at a kept generation, by one more commit; with `preview`, only say what changes."""
    turn = Turn(body.generation, tuple(body.jobs), body.revive_deleted)
    if body.preview:
        return answer(await run_in_threadpool(_generations(given).preview, name, turn))
    return await receipt(given, await run_in_threadpool(_generations(given).order, name, turn), wait)


@router.post(
    "/jobs/{job_id}/checkpoints/{generation}/pin", response_model=models.Checkpoint, responses=_REFUSED
)
async def pin_checkpoint_of_job(job_id: str, generation: Number, given: Given) -> Response:
    """Keep what a job's checkpoint needs until it is unpinned."""
    return await _pin(_generations(given).pin_of_job, job_id, generation, True)


@router.delete(
    "/jobs/{job_id}/checkpoints/{generation}/pin", response_model=models.Checkpoint, responses=_REFUSED
)
async def unpin_checkpoint_of_job(job_id: str, generation: Number, given: Given) -> Response:
    """Keep it no longer than others."""
    return await _pin(_generations(given).pin_of_job, job_id, generation, False)


@router.post(
    "/collections/{name}/checkpoints/{generation}/pin", response_model=models.Checkpoint, responses=_REFUSED
)
async def pin_checkpoint(name: str, generation: Number, given: Given) -> Response:
    """Keep any checkpoint of a collection until it is unpinned."""
    return await _pin(_generations(given).pin, name, generation, True)


@router.delete(
    "/collections/{name}/checkpoints/{generation}/pin", response_model=models.Checkpoint, responses=_REFUSED
)
async def unpin_checkpoint(name: str, generation: Number, given: Given) -> Response:
    """Keep it no longer than others."""
    return await _pin(_generations(given).pin, name, generation, False)


async def _pin(
    case: Callable[[str, int, bool], dict[str, Any]], of: str, generation: int, pinned: bool
) -> Response:
    return answer(await run_in_threadpool(case, of, generation, pinned))


def _generations(given: Shared) -> Generations:
    return Generations(given.services.jobs.ledger)
