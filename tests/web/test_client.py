"""The client against the real application, and against services that are away, busy, or lose their answers."""

import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from service.client import Away, Client, Declined
from service.core.job import State, Verb
from service.errors import BadRequest
from service.web import models
from service.web.services import Services
from tests.engine.world import World
from tests.web.serving import at_work, served

ORDER = models.JobOrder(source=models.LibrarySource(type="library", root="library"))


@pytest.fixture
def client(services: Services) -> Iterator[Client]:
    with served(services) as url, Client(url) as made:
        yield made


def test_a_job_is_made_followed_and_asked_about(client: Client, world: World) -> None:
    for number in range(30):
        world.write(f"{number}.txt", f"This is document {number}, on the tide.")
    plan = client.plan(ORDER)
    assert (plan.discovered, plan.add.files) == (30, 30)
    job = client.create_job(ORDER)
    assert client.ask(job.id, Verb.PAUSE).state == State.PAUSED
    assert client.ask(job.id, Verb.RESUME).state == State.QUEUED
    with at_work(world):
        seen = [*client.follow(job.id, poll_seconds=0.02)]
    assert seen[-1].state == State.SUCCEEDED
    versions = [each.version for each in seen]
    assert versions == sorted(set(versions)), "what had not changed was told again"
    assert (
        [each.id for each in client.jobs("default")]
        == [each.id for each in client.job_page(5).jobs]
        == [job.id]
    )
    assert len([*client.items(job.id)]) == 30
    assert [*client.items(job.id, "failed")] == []


def test_what_is_in_a_collection_is_found(client: Client, world: World) -> None:
    world.write("a/é #1.txt", "The tide comes in.")
    world.write("b.txt", "The seal goes out.")
    job = client.create_job(ORDER)
    with at_work(world):
        [*client.follow(job.id, poll_seconds=0.02)]
    [collection] = client.collections()
    assert client.collection("default") == collection
    assert collection.documents == 2
    assert client.checkpoint_page("default", 5).checkpoints[0].generation == collection.generation
    keys = [document.key for document in client.documents("default")]
    assert keys == [document.key for document in client.document_page("default", limit=5).documents]
    for key in keys:
        found = client.document("default", key=key)
        assert found.contents
        assert found == client.document("default", doc_id=found.doc_id)
    query = models.SearchQuery(text="The tide comes in.", k=1)
    assert "tide" in client.search("default", query).hits[0].text


def test_a_page_is_not_the_end(client: Client, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.client.MOST_LISTED", 2)
    for number in range(5):
        world.write(f"{number}.txt", f"This is document {number}, on the tide.")
    job = client.create_job(ORDER)
    with at_work(world):
        [*client.follow(job.id, poll_seconds=0.02)]
    assert len({document.key for document in client.documents("default")}) == 5


def test_a_refusal_says_what_and_which(client: Client, world: World) -> None:
    world.write("a.txt", "The tide comes in.")
    job = client.create_job(ORDER)
    with pytest.raises(Declined) as refused:
        client.create_job(ORDER)
    assert (refused.value.status, refused.value.code, refused.value.more["job"]) == (409, "conflict", job.id)
    with pytest.raises(Declined, match=r"There is no job 'none\?x'") as unknown:
        client.job("none?x")
    assert unknown.value.status == 404


@pytest.mark.parametrize("address", ["localhost:8000", "", "http://[::1", "ftp://localhost"])
def test_what_is_no_address_is_told_at_once(address: str) -> None:
    with pytest.raises(BadRequest, match="address"):
        Client(address)


Respond = Callable[[BaseHTTPRequestHandler], None]


class Scripted:
    """An HTTP server that does one thing after the other, and the waits of who asks it."""

    def __init__(self, *script: Respond) -> None:
        self.seen: list[dict[str, str]] = []
        self.waits: list[float] = []
        steps = iter(script)

        class Handler(BaseHTTPRequestHandler):
            def do_GET(handler) -> None:  # noqa: N805
                self.seen.append(dict(handler.headers))
                handler.rfile.read(int(handler.headers.get("Content-Length", 0)))
                next(steps)(handler)

            do_POST = do_GET  # noqa: N815

            def log_message(self, *_: Any) -> None:
                """Not on the tests' output."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.thread = threading.Thread(target=self.server.serve_forever)
        self.thread.start()

    def client(self, patience_seconds: float = 30) -> Client:
        url = f"http://127.0.0.1:{self.server.server_port}"
        return Client(url, patience_seconds, sleep=self.waits.append)

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


@contextmanager
def scripted(*script: Respond) -> Iterator[tuple[Scripted, Client]]:
    with closing(Scripted(*script)) as server, server.client() as client:
        yield server, client


def says(status: int, body: str = "", **headers: str) -> Respond:
    def respond(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.end_headers()
        handler.wfile.write(body.encode())

    return respond


def hangs_up(handler: BaseHTTPRequestHandler) -> None:
    handler.connection.shutdown(socket.SHUT_RDWR)


NONE = '{"collections": [], "new": 1}'
PROBLEM = '{"type": "about:blank", "title": "", "status": 503, "detail": "no model", "code": "not_ready"}'


@pytest.mark.parametrize("passing", [says(429), says(503), says(502, "<html>"), hangs_up])
def test_what_passes_is_waited_for(passing: Respond) -> None:
    with scripted(passing, passing, says(200, NONE)) as (server, client):
        assert client.collections() == []
    assert len(server.waits) == 2
    assert server.waits[0] <= 0.2 < server.waits[1] * 2 <= 0.8, "the waits do not grow"


def test_who_says_how_long_is_believed() -> None:
    with scripted(says(503, Retry_After="7"), says(200, NONE)) as (server, client):
        client.collections()
    assert 7 <= server.waits[0] <= 7.1


def test_a_wait_beyond_all_patience_is_not_begun() -> None:
    with scripted(says(503, PROBLEM, Retry_After="60")) as (server, client), pytest.raises(Declined) as told:
        client.collections()
    assert (told.value.code, str(told.value), server.waits) == ("not_ready", "no model", [])


def test_an_order_whose_answer_is_lost_is_sent_again_as_the_same_order() -> None:
    answers = (hangs_up, says(409, '{"detail": "so", "code": "conflict"}'))
    with scripted(*answers) as (server, client), pytest.raises(Declined, match="so"):
        client.create_job(ORDER)
    first, second = (seen["Idempotency-Key"] for seen in server.seen)
    assert first == second


def test_where_nobody_listens_patience_ends() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{probe.getsockname()[1]}"
        with Client(url, patience_seconds=0.5) as client, pytest.raises(Away, match="does not answer"):
            client.collections()


@pytest.mark.parametrize("answer", [says(200, "<html>hello"), says(200, "{}"), says(404, "<html>")])
def test_who_is_not_tidestone_is_recognised(answer: Respond) -> None:
    with scripted(answer) as (_, client), pytest.raises(Declined, match="is it one") as told:
        client.collections()
    assert told.value.code == "not_tidestone"


def test_what_a_newer_service_says_beyond_is_left_out(client: Client, world: World) -> None:
    world.write("a.txt", "The tide comes in.")
    job = client.create_job(ORDER).model_dump(mode="json")
    job["progress"]["newer"] = job["newer"] = 1
    with scripted(says(200, json.dumps(job))) as (_, newer):
        assert newer.job("x").id == job["id"]
