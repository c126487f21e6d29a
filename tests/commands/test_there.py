"""Commands with --server: a real service is asked, and tells what the same command tells beside its data folder."""

import json
import os
import signal
import socket
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.running import Place


class There(Place):
    """A place with a service, and another folder to ask it from."""

    url = ""

    def serve(self, **environment: str) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        self.url = f"http://127.0.0.1:{port}"
        self.start("serve", "--port", str(port), **environment)
        deadline = time.monotonic() + 30
        while True:
            try:
                httpx.get(f"{self.url}/readyz").raise_for_status()
                return
            except httpx.HTTPError:
                assert time.monotonic() < deadline
                time.sleep(0.05)

    def ask(self, *arguments: str, code: int = 0) -> Any:
        """A command's JSON."""
        done = self.run(*arguments, "--json")
        assert done.returncode == code, done.stderr
        return json.loads(done.stdout)

    def there(self, *arguments: str, code: int = 0) -> Any:
        return self.ask(*arguments, "--server", self.url, code=code)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[There]:
    settings = {"TIDESTONE_EMBEDDING__CHILDREN": "1", "INGESTION_BATCH_SIZE": "5"}
    with closing(There(tmp_path_factory.mktemp("there"), settings)) as made:
        made.write(20)
        (made.library / "broken.pdf").write_bytes(b"%PDF-1.4 and nothing more")
        os.utime(made.library / "broken.pdf", (1_600_000_000, 1_600_000_000))
        made.serve()
        yield made


@pytest.fixture(scope="module")
def ingested(place: There) -> dict[str, Any]:
    """What `ingest --server` reported."""
    report: dict[str, Any] = place.there("ingest", str(place.library), code=3)
    return report


def test_ingest_there_reports_as_ingest_here_does(place: There, ingested: dict[str, Any]) -> None:
    assert (ingested["documents"], ingested["collection"]["documents"], ingested["checkpoints"]) == (
        20,
        20,
        5,
    )
    assert [failed["path"] for failed in ingested["failures"]] == ["broken.pdf"]
    again = place.ask("ingest", str(place.library))
    assert again.keys() == ingested.keys()
    assert again["job"]["progress"]["unchanged"] == 20


@pytest.mark.parametrize(
    "command",
    [
        ["status"],
        ["status", "JOB"],
        ["documents", "--state", "failed"],
        ["documents", "--key", "library/0003.txt"],
        ["documents", "1"],
        ["search", "Who counts the ships?", "-k", "2"],
        ["checkpoints", "-n", "2"],
        ["plan", "library", "--fresh"],
    ],
    ids=" ".join,
)
def test_both_tell_the_same(place: There, ingested: dict[str, Any], command: list[str]) -> None:
    arguments = [ingested["job"]["id"] if word == "JOB" else word for word in command]
    here = place.ask(*arguments)
    arguments = [str(place.library) if word == "library" else word for word in arguments]
    told = place.there(*arguments)
    for each in (here, told):
        each.pop("estimate_seconds", None)
    assert told == here


def test_what_is_refused_there_is_one_line_here(place: There, ingested: dict[str, Any]) -> None:
    done = place.run("pause", ingested["job"]["id"], "--server", place.url)
    assert (done.returncode, len(done.stderr.splitlines())) == (1, 1)
    assert "cannot take 'pause'" in done.stderr
    done = place.run("status", "--server", "elsewhere:80")
    assert (done.returncode, len(done.stderr.splitlines())) == (2, 1)
    for wrong in (["--resume"], ["--checkpoint-dir", "x"]):
        assert place.run("ingest", "library", *wrong, "--server", place.url).returncode == 2


def test_ctrl_c_ends_the_watching_and_the_same_command_watches_on(tmp_path: Path) -> None:
    with closing(There(tmp_path, {"TIDESTONE_EMBEDDING__CHILDREN": "1"})) as place:
        place.write(2_000, sentences=12)
        place.serve()
        ingest = ("ingest", str(place.library), "--server", place.url, "--json")
        watching = place.start(*ingest)
        job = _working(place)
        watching.send_signal(signal.SIGINT)
        out, err = watching.communicate(timeout=20)
        assert (watching.returncode, json.loads(out)["job"]["id"]) == (130, job)
        assert "goes on there" in err
        other = place.run(*ingest, "--batch-size", "7")
        assert (other.returncode, "ordered otherwise" in other.stderr) == (1, True)
        again = place.start(*ingest)
        place.there("pause")
        out, _ = again.communicate(timeout=30)
        assert (again.returncode, json.loads(out)["job"]["id"]) == (130, job)
        assert json.loads(out)["job"]["state"] == "paused"
        fresh = place.start(*ingest, "--fresh")
        newer = _working(place)
        assert newer != job
        assert place.there("status", job)["state"] == "cancelled"
        assert place.there("cancel", newer)["state"] == "cancelling"
        fresh.communicate(timeout=30)
        assert fresh.returncode == 1


def _working(place: There) -> str:
    """The id of the job that has just begun."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        jobs = httpx.get(f"{place.url}/v1/jobs?state=running").json()["jobs"]
        if jobs and jobs[0]["progress"]["done"]:
            return str(jobs[0]["id"])
        time.sleep(0.05)
    raise AssertionError("no job has begun")
