"""How long `GET /v1/jobs/{id}` takes for 50 pollers at one request a second, while a job commits.

Server, writer and pollers are processes of their own. `/livez`, which does nothing, is polled in turn: what it
takes is the machine's and the pollers' own.
"""

import asyncio
import multiprocessing
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import NoReturn

import uvicorn

from service.core.job import Fact
from service.core.space import Space
from service.engine.jobs import Jobs, Order
from service.engine.settings import EngineSettings
from service.ledger import jobs as rows
from service.ledger.database import Ledger, sqlite_url
from service.ledger.migrate import migrate
from service.web.app import create_app
from service.web.services import Services

POLLERS = 50
SPACE = Space("bench", "float", 4, "mean", True, "", "", 512)


def serve(folder: Path, port: int) -> None:
    services = Services(_jobs(folder), _no_search, "bench")
    uvicorn.run(create_app(services), port=port, log_level="warning", access_log=False)


def write(folder: Path, job_id: str) -> None:
    """Progress twenty times a second."""
    ledger = Ledger.open(sqlite_url(folder))
    while True:
        with ledger.write() as c:
            rows.count(c, job_id, "progress", {"done": 1})
        time.sleep(0.05)


async def poll(port: int, path: str, start: float, seconds: int) -> list[float]:
    """Milliseconds of each request."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    request = f"GET {path} HTTP/1.1\r\nHost: bench\r\n\r\n".encode()
    taken = []
    for n in range(seconds):
        await asyncio.sleep(max(0.0, start + n - time.perf_counter()))
        began = time.perf_counter()
        writer.write(request)
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200"), head
        length = next(line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length"))
        await reader.readexactly(int(length.split(b":")[1]))
        taken.append((time.perf_counter() - began) * 1000)
    writer.close()
    return taken


async def measure(port: int, path: str, seconds: int) -> list[float]:
    start = time.perf_counter() + 0.5
    found = await asyncio.gather(*(poll(port, path, start + n / POLLERS, seconds) for n in range(POLLERS)))
    return [taken for each in found for taken in each]


def main(seconds: int = 10, port: int = 18_431) -> None:
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        ledger = Ledger.open(sqlite_url(folder))
        migrate(ledger)
        job_id = _jobs(folder).create(Order("bench", folder, "bench"))["id"]
        with ledger.write() as c:
            rows.happen(c, job_id, Fact.LEASED)
        spawn = multiprocessing.get_context("spawn")
        processes = [
            spawn.Process(target=serve, args=(folder, port), daemon=True),
            spawn.Process(target=write, args=(folder, job_id), daemon=True),
        ]
        for process in processes:
            process.start()
        time.sleep(4)
        paths = {"job": f"/v1/jobs/{job_id}", "livez": "/livez"}
        taken: dict[str, list[float]] = {"job": [], "livez": []}
        for name in ("job", "livez") * 3:
            taken[name] += asyncio.run(measure(port, paths[name], seconds))
        for process in processes:
            process.terminate()
            process.join()
        ledger.close()
    for name, each in taken.items():
        each.sort()
        p99 = each[len(each) * 99 // 100]
        print(f"{name}: {len(each)} polls, median {statistics.median(each):.1f} ms, p99 {p99:.1f} ms")


def _jobs(folder: Path) -> Jobs:
    return Jobs(Ledger.open(sqlite_url(folder)), EngineSettings(folder), _space)


def _space() -> tuple[Space, str]:
    return SPACE, "f32"


def _no_search() -> NoReturn:
    raise NotImplementedError


if __name__ == "__main__":
    main(*(int(argument) for argument in sys.argv[1:]))
