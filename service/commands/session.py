"""What a command needs before it can ask for anything: settings, a ledger, the job that is meant."""

import logging
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Any

from service.commands.cases import Cases
from service.commands.console import show
from service.errors import BadRequest, Refused

if TYPE_CHECKING:
    from service.engine.jobs import Jobs
    from service.settings import Settings

MOST_LOOKED_AT = 1000


def load_settings(overrides: Mapping[str, Any] | None = None) -> "Settings":
    """The settings in force. Raises BadRequest."""
    from service.settings import load

    return load(overrides)


def working_settings(overrides: Mapping[str, Any] | None = None) -> "Settings":
    """The settings of a process that works on jobs, and logs. Raises BadRequest, Refused."""
    from service.logs import configure

    settings = load_settings(overrides)
    if not settings.ingestion.enabled:
        raise Refused("ingestion.enabled is false: this installation only serves what is there.")
    configure(settings.service.log_format, logging.INFO)
    return settings


@contextmanager
def open_jobs(settings: "Settings | None" = None) -> Iterator["Jobs"]:
    """The use cases of jobs over a ledger that is there already. Raises Refused where it is not."""
    from service.app import make_jobs
    from service.data_folder import open_ledger

    settings = settings or load_settings()
    with closing(open_ledger(settings, create=False)) as ledger:
        yield make_jobs(settings, ledger)


@contextmanager
def opened(server: str | None) -> Iterator[Cases]:
    """Those of the service at this address, or where none is given, of the configured data folder."""
    if server is not None:
        from service.client import Client
        from service.commands.there import There

        with Client(server) as client:
            yield There(client)
        return
    from service.commands.here import Here

    settings = load_settings()
    with open_jobs(settings) as jobs:
        yield Here(settings, jobs)


def ask(verb: str, job_id: str | None, server: str | None, as_json: bool) -> None:
    """Ask a job, or the only one that allows it, and show the job as it is then."""
    from service.commands.report import show_job
    from service.core.job import Verb

    with opened(server) as cases:
        view = cases.ask(job_id or _only_one(cases, verb), Verb(verb))
    show(view, show_job, as_json)


def _only_one(cases: Cases, verb: str) -> str:
    found = [job["id"] for job in cases.jobs(MOST_LOOKED_AT)["jobs"] if job["can"][verb]]
    if len(found) != 1:
        which = "; ".join(found[:5]) or "none"
        raise BadRequest(f"Name the job to {verb}: {len(found)} allow it ({which}).")
    return str(found[0])
