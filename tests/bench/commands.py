"""Tidestone's commands as a user runs them, each timed."""

import json
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from service.embedders.machine import choose_weights
from service.reader import Collection
from tests.model import default_model
from tests.running import Place, wait_for


@dataclass(frozen=True)
class Run:
    """A `tidestone ingest` from beginning to end."""

    tokens: int  # embedded, special tokens included
    job_seconds: float  # from the start of the work to the end of the job
    command_seconds: float  # with the start of the process and its end


def workplace(folder: Path) -> Place:
    """A place with the weights that suit this machine."""
    place = Place(folder)
    place.settings["TIDESTONE_EMBEDDING__MODEL_PATH"] = str(default_model(choose_weights()))
    return place


def ingest(place: Place) -> Run:
    """Ingest the place's library into a new collection."""
    shutil.rmtree(place.data, ignore_errors=True)
    began = time.perf_counter()
    process = place.start("ingest", str(place.library), "--json")
    out, err = process.communicate()
    command_seconds = time.perf_counter() - began
    if process.returncode != 0:
        sys.exit(f"tidestone ingest ended with {process.returncode}:\n{out}\n{err}")
    job = json.loads(out)["job"]
    return Run(job["progress"]["tokens"], _job_seconds(job), command_seconds)


def chunk_texts(place: Place) -> list[list[str]]:
    """The texts of each ingested document's chunks."""
    found: dict[str, list[str]] = {}
    for row in Collection.open(place.data / "collections" / "default").rows():
        found.setdefault(row.key, []).append(row.text)
    return list(found.values())


@dataclass
class Service:
    """`tidestone serve`, ready."""

    process: "subprocess.Popen[str]"
    port: int

    def ask(self, path: str, body: dict[str, Any] | None = None) -> Any:
        """What GET says, or POST with a body."""
        data = None if body is None else json.dumps(body).encode()
        headers = {"Content-Type": "application/json"}
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", data, headers)
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.load(answer)

    def start_job(self, library: Path) -> str:
        """Order an ingestion; returns its id when it is embedding."""
        order = {"collection": "default", "source": {"type": "library", "path": str(library)}}
        job_id = str(self.ask("/v1/jobs", order)["id"])
        wait_for(lambda: self.ask(f"/v1/jobs/{job_id}")["stage"] == "embed", 120)
        return job_id


@contextmanager
def serving(place: Place) -> Iterator[Service]:
    """The service, until the end of the block."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    process = place.start("serve", "--port", str(port))
    service = Service(process, port)
    try:
        wait_for(lambda: _ready(service), 60)
        yield service
    finally:
        process.terminate()
        process.wait(60)


def _ready(service: Service) -> bool:
    try:
        service.ask("/readyz")
    except OSError:
        return False
    return True


def _job_seconds(job: dict[str, Any]) -> float:
    began, ended = (datetime.fromisoformat(job[name]) for name in ("started_at", "finished_at"))
    return (ended - began).total_seconds()
