"""The web application: all routes over the same services."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from anyio.to_thread import current_default_thread_limiter
from fastapi import FastAPI
from starlette.concurrency import run_in_threadpool

from service.web import collections, documents, generations, health, jobs, maintenance, metrics, problems
from service.web.limits import Limited
from service.web.services import Services
from service.web.shared import LEDGER_THREADS, Shared


def create_app(services: Services) -> FastAPI:
    """The application; its lifespan enters `services.running`, and closes the search if there ever was one."""
    shared = Shared.of(services)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        current_default_thread_limiter().total_tokens = LEDGER_THREADS
        async with services.running():
            try:
                yield
            finally:
                await run_in_threadpool(shared.search.close, lambda search: search.close())

    app = FastAPI(
        title="Tidestone",
        version=services.version,
        lifespan=lifespan,
        redoc_url=None,
        generate_unique_id_function=lambda route: route.name,
    )
    app.state.shared = shared
    if services.requests_per_second:
        app.add_middleware(Limited, per_second=services.requests_per_second)
    problems.install(app)
    for room in (jobs, collections, documents, generations, maintenance, health, metrics):
        app.include_router(room.router)
    return app
