"""A real service in a process of its own, spoken to over HTTP."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from tests.model import default_model

ROOT = Path(__file__).parent.parent.parent


@dataclass
class Serving:
    """A running `tidestone serve`."""

    process: subprocess.Popen[bytes]
    http: httpx.Client

    def job(self, job_id: str) -> dict[str, Any]:
        found: dict[str, Any] = self.http.get(f"/v1/jobs/{job_id}").raise_for_status().json()
        return found

    def start(self, path: Path, **more: Any) -> str:
        """Start a job on a folder; its id."""
        body = {"source": {"type": "library", "path": str(path)}, **more}
        return str(self.http.post("/v1/jobs", json=body).raise_for_status().json()["id"])

    def ask(self, job_id: str, verb: str) -> dict[str, Any]:
        answer: dict[str, Any] = self.http.post(f"/v1/jobs/{job_id}/{verb}").raise_for_status().json()
        return answer

    def wait(
        self, job_id: str, until: Callable[[dict[str, Any]], bool], seconds: float = 60
    ) -> dict[str, Any]:
        """Poll the job until it is as wanted; its last view."""
        deadline = time.monotonic() + seconds
        while not until(job := self.job(job_id)):
            assert time.monotonic() < deadline, job
            time.sleep(0.02)
        return job

    def finish(self, job_id: str, seconds: float = 120) -> dict[str, Any]:
        """Wait until the job has ended."""
        return self.wait(job_id, lambda job: job["state"] not in ("queued", "running", "pausing"), seconds)


def environment(data: Path, **more: str) -> dict[str, str]:
    """What a process needs to know: where its data is, and the model that the tests share."""
    empty = data.parent / "config.toml"
    empty.touch()
    return {
        **os.environ,
        "TIDESTONE_CONFIG": str(empty),
        "TIDESTONE_SERVICE__DATA_DIR": str(data),
        "TIDESTONE_EMBEDDING__MODEL_PATH": str(default_model("f16")),
        "TIDESTONE_INGESTION__MIN_FREE_BYTES": "0",
        **more,
    }


@contextmanager
def serving(data: Path, **more: str) -> Iterator[Serving]:
    """Start the service and wait until it is ready; SIGTERM at the end."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "service", "serve", "--port", str(port)]
    process = subprocess.Popen(command, cwd=ROOT, env=environment(data, **more))
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30) as http:
            _wait_until_ready(process, http)
            yield Serving(process, http)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(40)


def _wait_until_ready(process: subprocess.Popen[bytes], http: httpx.Client) -> None:
    deadline = time.monotonic() + 30
    while True:
        assert process.poll() is None, f"the service ended with {process.returncode}"
        assert time.monotonic() < deadline, "the service is not ready after 30 seconds"
        try:
            if http.get("/readyz").status_code == 200:
                return
        except httpx.TransportError:
            time.sleep(0.05)
