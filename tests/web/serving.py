"""The application behind a real server, for what a test client cannot show."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn

from service.web.app import create_app
from service.web.services import Services
from tests.engine.world import World


@contextmanager
def served(services: Services) -> Iterator[str]:
    """The base URL of a server in a thread; it ends with the block, and with it every open stream."""
    config = uvicorn.Config(
        create_app(services), port=0, log_level="warning", timeout_graceful_shutdown=1, access_log=False
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join()


@contextmanager
def at_work(world: World) -> Iterator[None]:
    """A worker in a thread."""
    thread = threading.Thread(target=world.worker().run)
    thread.start()
    try:
        yield
    finally:
        world.stop.set()
        thread.join()
