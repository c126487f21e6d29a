"""The route that Prometheus scrapes."""

from typing import Annotated

from fastapi import APIRouter, Header, Response
from prometheus_client.exposition import choose_encoder
from starlette.concurrency import run_in_threadpool

from service.web.problems import documented
from service.web.shared import Given

router = APIRouter(tags=["health"])


@router.get(
    "/metrics",
    response_class=Response,
    responses={200: {"content": {"text/plain": {}}}, **documented(422, 503)},
)
async def metrics(given: Given, accept: Annotated[str, Header()] = "") -> Response:
    """All metrics, in the format that the scraper prefers."""
    encode, media_type = choose_encoder(accept)
    body = await run_in_threadpool(encode, given.registry)
    return Response(body, headers={"Content-Type": media_type})
