"""What the requests of one application share."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, Any

from anyio import CapacityLimiter
from fastapi import Depends, Query, Request, Response
from fastapi.responses import JSONResponse
from prometheus_client import CollectorRegistry

from service.bounds import CURSOR, MOST_LISTED
from service.core.space import Space
from service.engine import collections
from service.engine.once import Once
from service.errors import NotReady, TidestoneError, TryAgain
from service.web.collector import make_registry
from service.web.services import Services
from service.web.snapshots import Snapshot, Snapshots

if TYPE_CHECKING:  # see services.py
    from service.engine.search import Search

LEDGER_THREADS = 12  # below the ledger's pool of connections: a thread never waits for one
LONG_THREADS = (
    4  # what reads whole files has threads of its own, so that short requests do not queue behind it
)


@dataclass(frozen=True, slots=True)
class Shared:
    """Services, and what is kept between requests."""

    services: Services
    jobs: Snapshots  # by job id
    generations: Snapshots  # by collection name
    search: "Once[Search]"
    long: CapacityLimiter
    registry: CollectorRegistry

    @classmethod
    def of(cls, services: Services) -> "Shared":
        """For a new application."""
        services = replace(services, jobs=replace(services.jobs, space=_or_not_ready(services.jobs.space)))
        ledger = services.jobs.ledger
        return cls(
            services,
            Snapshots(services.jobs.get, lambda job: f'W/"{job["version"]}"'),
            Snapshots(
                lambda name: collections.generation(ledger, name),
                lambda now: f'"{now["published"]}-{now["committed"]}"',
            ),
            Once(services.make_search),
            CapacityLimiter(LONG_THREADS),
            make_registry(services),
        )


async def _shared(request: Request) -> Shared:
    shared: Shared = request.app.state.shared
    return shared


def _or_not_ready(space: Callable[[], tuple[Space, str]]) -> Callable[[], tuple[Space, str]]:
    """A model that cannot be used is no answer to the request, which is right and may be repeated."""

    def look() -> tuple[Space, str]:
        try:
            return space()
        except TryAgain:
            raise
        except (TidestoneError, OSError) as error:
            raise NotReady(str(error)) from error

    return look


Given = Annotated[Shared, Depends(_shared)]
Cursor = Annotated[str | None, Query(pattern=f"^{CURSOR}$", description="`next` of the page before")]
Limit = Annotated[int, Query(ge=1, le=MOST_LISTED)]


def answer(value: Mapping[str, Any], status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """What a use case returned, as it is: the response models document it, they do not filter it."""
    return JSONResponse(dict(value), status, dict(headers or {}))


def unless_known(snapshot: Snapshot, if_none_match: str | None) -> Response:
    """The snapshot, or 304 when the caller has it; entity tags are compared weakly (RFC 9110, 13.1.2)."""
    headers = {"ETag": snapshot.etag, "Cache-Control": "no-cache"}
    known = {tag.strip().removeprefix("W/") for tag in (if_none_match or "").split(",")}
    if snapshot.etag.removeprefix("W/") in known or "*" in known:
        return Response(status_code=304, headers=headers)
    return Response(snapshot.body, headers=headers, media_type="application/json")
