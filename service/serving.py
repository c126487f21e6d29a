"""The API process: web server and supervisor in one event loop."""

import logging
import signal
import socket
import sys
from contextlib import closing
from types import FrameType

import uvicorn

from service.app import engine_settings, make_services
from service.data_folder import open_ledger
from service.errors import Refused
from service.logs import configure
from service.settings import Settings
from service.supervisor import Supervisor
from service.web.app import create_app

LAST_ANSWERS_SECONDS = 2  # for streams that would never end by themselves

log = logging.getLogger("tidestone.serve")


def serve(settings: Settings, with_worker: bool) -> None:
    """Serve until SIGTERM or Ctrl-C; ends 0 once the worker has saved its checkpoint. Raises Refused."""
    configure(settings.service.log_format, logging.INFO)
    for number in (signal.SIGTERM, signal.SIGINT):  # uvicorn raises them again when it has shut down
        signal.signal(number, _end)
    # Before a ledger is made or a worker started: uvicorn would find out last, and end with a status of its own.
    with (
        listen(settings.service.host, settings.service.port) as door,
        closing(open_ledger(settings)) as ledger,
    ):
        supervisor = Supervisor(
            ledger,
            engine_settings(settings),
            auto_resume=settings.service.auto_resume,
            with_worker=with_worker and settings.ingestion.enabled,
        )
        config = uvicorn.Config(
            create_app(make_services(settings, ledger, supervisor)),
            log_config=None,
            access_log=False,
            timeout_graceful_shutdown=LAST_ANSWERS_SECONDS,
        )
        host = settings.service.host if door.family == socket.AF_INET else f"[{settings.service.host}]"
        log.info("serving on http://%s:%s", host, door.getsockname()[1])
        uvicorn.Server(config).run([door])


def listen(host: str, port: int) -> socket.socket:
    """A listening socket; port 0 takes any that is free. Raises Refused."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=2048)
    except OSError as error:
        why = str(error.strerror).partition(" (while")[0]  # the address, which we name ourselves
        raise Refused(
            f"{host}:{port} cannot be listened on ({why}): end what listens there, or choose another "
            "(--host, --port, or service.host and service.port)."
        ) from error


def _end(number: int, _: FrameType | None) -> None:
    sys.exit(0)
