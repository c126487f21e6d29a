"""Is it there, and can it work?"""

from typing import Any

from fastapi import APIRouter, Response
from starlette.concurrency import run_in_threadpool

from service.engine.observe import readiness
from service.web.problems import documented
from service.web.services import Services
from service.web.shared import Given, answer

router = APIRouter(tags=["health"])


@router.head("/livez", include_in_schema=False)
@router.get("/livez")
async def livez() -> dict[str, str]:
    """The process answers; nothing else is touched."""
    return {"status": "alive"}


@router.head("/readyz", include_in_schema=False)
@router.get("/readyz", responses=documented(503))
async def readyz(given: Given) -> Response:
    """The ledger answers. Whether disk, model and worker allow ingestion is told, but no reason for 503."""
    return answer(await run_in_threadpool(_readiness, given.services))


@router.get("/v1/version", responses=documented(429))
async def version(given: Given) -> dict[str, Any]:
    """What is running."""
    return {"name": "tidestone", "version": given.services.version, **given.services.build}


def _readiness(services: Services) -> dict[str, Any]:
    jobs, problem = services.jobs, services.model_problem()
    return readiness(jobs.ledger, jobs.settings, problem, services.ingestion_enabled)
