"""The API process: web server and supervisor in one event loop."""

import logging
import signal
import sys
from contextlib import closing
from types import FrameType

import uvicorn

from service.app import engine_settings, make_services, open_ledger
from service.logs import configure
from service.settings import Settings
from service.supervisor import Supervisor
from service.web.app import create_app

LAST_ANSWERS_SECONDS = 2  # for streams that would never end by themselves

log = logging.getLogger("tidestone.serve")


def serve(settings: Settings, with_worker: bool) -> None:
    """Serve until SIGTERM or Ctrl-C; ends 0 once the worker has saved its checkpoint."""
    configure(settings.service.log_format, logging.INFO)
    for number in (signal.SIGTERM, signal.SIGINT):  # uvicorn raises them again when it has shut down
        signal.signal(number, _end)
    with closing(open_ledger(settings)) as ledger:
        supervisor = Supervisor(
            ledger,
            engine_settings(settings),
            auto_resume=settings.service.auto_resume,
            with_worker=with_worker and settings.ingestion.enabled,
        )
        log.info("serving on http://%s:%s", settings.service.host, settings.service.port)
        uvicorn.run(
            create_app(make_services(settings, ledger, supervisor)),
            host=settings.service.host,
            port=settings.service.port,
            log_config=None,
            access_log=False,
            timeout_graceful_shutdown=LAST_ANSWERS_SECONDS,
        )


def _end(number: int, _: FrameType | None) -> None:
    sys.exit(0)
