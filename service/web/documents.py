"""Routes of documents: is my file in, and as what?"""

from collections.abc import Callable
from functools import partial
from typing import Annotated, Any, Literal

from anyio.to_thread import run_sync
from fastapi import APIRouter, Path, Query, Response
from starlette.concurrency import run_in_threadpool

from service.engine import documents
from service.errors import BadRequest
from service.maintenance import departures
from service.maintenance.orders import Orders
from service.web import models
from service.web.problems import documented
from service.web.receipts import ORDERED, Wait, orders, receipt
from service.web.shared import Cursor, Given, Limit, Shared, answer

router = APIRouter(
    prefix="/v1/collections/{name}/documents", tags=["documents"], responses=documented(404, 422, 429, 503)
)
DocId = Annotated[int, Path(ge=1, lt=1 << 63)]
Key = Annotated[str, Query(min_length=1, description="the document's key")]
Purge = Annotated[bool, Query(description="also remove its text and vectors from every generation")]
DocumentState = Literal["indexed", "pending", "skipped", "failed", "container", "deleted", "withdrawn"]


@router.get("", response_model=models.DocumentPage | models.Document, responses=documented(500))
async def list_documents(
    name: str,
    given: Given,
    key: Annotated[str | None, Query(description="the one document with this key, with its chunks")] = None,
    state: DocumentState | None = None,
    prefix: str = "",
    cursor: Cursor = None,
    limit: Limit = 100,
) -> Response:
    """Documents by id; `prefix` is what their keys begin with. With `key`: that document, and no other filter."""
    if key is not None:
        if state or prefix or cursor:
            raise BadRequest("`key` names one document: leave state, prefix and cursor out.")
        return await _one(given, name, key=key)
    page = partial(documents.listing, state=state, prefix=prefix, cursor=cursor, limit=limit)
    return answer(await run_in_threadpool(page, given.services.jobs.ledger, name))


@router.get("/{doc_id}", response_model=models.Document, responses=documented(500))
async def get_document(name: str, doc_id: DocId, given: Given) -> Response:
    """One document with its chunks, read from verified files."""
    return await _one(given, name, doc_id=doc_id)


@router.delete("", response_model=models.Withdrawn, responses=ORDERED)
async def delete_document(
    name: str, key: Key, given: Given, wait: Wait = 0, purge: Purge = False
) -> Response:
    """Take a document out for good, with a file its records: 200 once readers do not find it, else 202."""
    order = partial(departures.withdraw, which={"key": key}, purge=purge)
    return await _leave(given, name, order, wait)


@router.delete("/{doc_id}", response_model=models.Withdrawn, responses=ORDERED)
async def delete_document_by_id(
    name: str, doc_id: DocId, given: Given, wait: Wait = 0, purge: Purge = False
) -> Response:
    """The same by id."""
    order = partial(departures.withdraw, which={"doc_id": doc_id}, purge=purge)
    return await _leave(given, name, order, wait)


@router.post("/restore", response_model=models.Task, responses=ORDERED)
async def restore_document(name: str, key: Key, given: Given, wait: Wait = 0) -> Response:
    """Let a document that was taken out come back: the next job reads its file anew."""
    task = await run_in_threadpool(departures.restore, orders(given), name, {"key": key})
    return await receipt(given, task, wait)


async def _leave(
    given: Shared, name: str, order: Callable[[Orders, str], dict[str, Any]], wait: float
) -> Response:
    task = await run_in_threadpool(order, orders(given), name)
    return await receipt(given, task, wait, lambda done: {"task": done["id"], **done["result"]})


async def _one(shared: Shared, name: str, **which: Any) -> Response:
    jobs = shared.services.jobs
    look = partial(documents.get, jobs.ledger, jobs.settings, name, **which)
    return answer(await run_sync(look, limiter=shared.long))
