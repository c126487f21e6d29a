"""A job's life as server-sent events."""

import json
import re
from collections.abc import AsyncIterator, Mapping
from typing import Any

import anyio
from fastapi import Response
from sse_starlette import EventSourceResponse, ServerSentEvent
from starlette.concurrency import run_in_threadpool

from service.core.job import FINISHED
from service.engine.jobs import Jobs
from service.errors import NotFound
from service.web.snapshots import Snapshot, Snapshots

HEARTBEAT_SECONDS = 15.0  # below the idle limits of common proxies
LOOK_SECONDS = 0.25
GRACE_SECONDS = 1.0  # for a stream to end by itself when the service stops
_VERSION = re.compile("[0-9]{1,18}")


async def stream(jobs: Jobs, snapshots: Snapshots, job_id: str, last_event_id: str | None) -> Response:
    """The stream, or 204, which tells a browser not to come back, when the client has it all. Raises NotFound."""
    seen = int(last_event_id) if last_event_id and _VERSION.fullmatch(last_event_id) else None
    now = await snapshots.get(job_id)
    if seen == now.value["version"] and _is_finished(now):
        return Response(status_code=204)
    stopping = anyio.Event()
    return EventSourceResponse(
        _follow(jobs, snapshots, job_id, seen, stopping),
        ping=HEARTBEAT_SECONDS,
        shutdown_event=stopping,
        shutdown_grace_period=GRACE_SECONDS,
    )


async def _follow(
    jobs: Jobs, snapshots: Snapshots, job_id: str, seen: int | None, stopping: anyio.Event
) -> AsyncIterator[ServerSentEvent]:
    """Events up to the version of a snapshot, then the snapshot, so that ids never go back."""
    shown = None
    while True:
        try:
            now = await snapshots.get(job_id)
        except NotFound:  # its collection was deleted
            return
        version: int = now.value["version"]
        if version != shown:
            async for event in _missed(jobs, job_id, seen, version):
                yield event
            yield ServerSentEvent(now.body.decode(), event="snapshot", id=str(version))
            seen = shown = version
        if _is_finished(now) or stopping.is_set():
            return  # a stream that is cut off instead looks like an error, to the client and in the log
        with anyio.move_on_after(LOOK_SECONDS):
            await stopping.wait()


async def _missed(jobs: Jobs, job_id: str, seen: int | None, version: int) -> AsyncIterator[ServerSentEvent]:
    """The events after `seen` up to `version`; `reset` where they are not all there any more."""
    while seen != version:
        complete = False
        events: list[dict[str, Any]] = []
        if seen is not None:
            complete, events = await run_in_threadpool(jobs.events, job_id, seen)
        wanted = [event for event in events if event["version"] <= version]
        if not complete or not wanted:
            yield _event("reset", {"version": version})
            return
        for event in wanted:
            yield _event(event["type"], event, event["version"])
        seen = wanted[-1]["version"]


def _event(kind: str, data: Mapping[str, Any], version: int | None = None) -> ServerSentEvent:
    text = json.dumps(data, separators=(",", ":"))
    return ServerSentEvent(text, event=kind, id=None if version is None else str(version))


def _is_finished(snapshot: Snapshot) -> bool:
    return snapshot.value["state"] in FINISHED
