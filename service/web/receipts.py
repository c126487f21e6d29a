"""Answering an order: at once with 202 and a receipt, or when it has been carried out."""

import time
from collections.abc import Callable, Mapping
from typing import Annotated, Any

from anyio import sleep
from fastapi import Query, Response
from starlette.concurrency import run_in_threadpool

from service.core.upkeep import OPEN
from service.maintenance.orders import Orders
from service.web import models
from service.web.problems import documented, problem
from service.web.shared import Shared, answer

MOST_WAIT_SECONDS = 60.0
_POLL_SECONDS = 0.1
ORDERED: dict[int | str, dict[str, Any]] = {
    202: {"model": models.Task, "description": "Ordered"},
    **documented(404, 409, 507),
}
_STATUSES = {"not_found": 404, "bad_request": 422, "disk_low": 507}

Wait = Annotated[
    float,
    Query(ge=0, le=MOST_WAIT_SECONDS, description="Seconds to wait for the end; 202 when it takes longer"),
]


def orders(given: Shared) -> Orders:
    """The use cases of tasks."""
    return Orders(given.services.jobs.ledger, given.services.jobs.settings)


async def receipt(
    given: Shared,
    task: Mapping[str, Any],
    wait_seconds: float,
    shown: Callable[[Mapping[str, Any]], Mapping[str, Any]] = lambda task: task,
) -> Response:
    """200 with what is `shown` of the done task, 202 with a receipt to ask again by, or the refusal that it has met."""
    deadline = time.monotonic() + wait_seconds
    while task["state"] in OPEN and time.monotonic() < deadline:
        await sleep(_POLL_SECONDS)
        task = await run_in_threadpool(orders(given).get, task["id"])
    if task["state"] in OPEN:
        return answer(task, 202, {"Location": task["links"]["self"]})
    if task["error"]:
        code = task["error"]["code"]
        return problem(_STATUSES.get(code, 409), code, task["error"]["message"], task=task["id"])
    return answer(shown(task), 200, {"Location": task["links"]["self"]})
