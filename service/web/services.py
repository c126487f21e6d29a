"""What the routes are given; `app.py` puts it together."""

from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from service.engine.jobs import Jobs
from service.errors import NotReady

if TYPE_CHECKING:  # importing it loads FAISS, which a process that only serves jobs does without
    from service.engine.planning import Planner
    from service.engine.search import Search


def _no_problem() -> str:
    return ""


def _no_planner() -> "Planner":
    raise NotReady("Nothing is ingested here.")


@dataclass(frozen=True, slots=True)
class Services:
    """Plain dependencies of the web application."""

    jobs: Jobs  # with its ledger and settings, which the other use cases take too
    make_search: "Callable[[], Search]"  # called at the first search only, in a thread; closed at the end
    version: str  # of Tidestone
    make_planner: "Callable[[], Planner]" = _no_planner
    library_roots: Mapping[str, Path] = field(default_factory=dict)  # name -> absolute path; none: any path
    model_problem: Callable[[], str] = _no_problem  # why nothing can be embedded, "" if it can; cheap
    ingestion_enabled: bool = True  # where it is not, nobody starts a worker
    requests_per_second: int = 0  # that an address may make; 0: any number
    running: Callable[[], AbstractAsyncContextManager[None]] = nullcontext  # entered at start, left at stop
    build: Mapping[str, str] = field(default_factory=dict)  # further labels of ingest_build_info
