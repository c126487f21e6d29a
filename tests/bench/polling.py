"""What 50 pollers find, and what they cost, while a job embeds: `python -m tests.bench.polling`.

Windows with and without pollers take turns. The rate of a window is that between its first and its last checkpoint:
checkpoints are small here, so that there are many. The pollers run in this process, on the same cores. Where other
work disturbs the rates, the API's share of the CPU time says what they cannot.
"""

import asyncio
import os
import statistics
import tempfile
import time
from pathlib import Path

from service.embedders.machine import usable_cores
from tests.bench.bench_polling import POLLERS, measure
from tests.bench.commands import Service, serving, workplace
from tests.bench.corpus import write_library
from tests.bench.measure import arguments, median_ratio, show, verdict

_BATCH_SIZE = 5


def quiet(service: Service, job_id: str, seconds: int) -> float:
    """Tokens per second while nobody polls between two checkpoints."""
    before = _checkpoint(service, job_id)
    time.sleep(seconds)
    return _rate(before, _checkpoint(service, job_id))


def polled(service: Service, job_id: str, seconds: int) -> tuple[float, list[float], float]:
    """Tokens per second while 50 poll, the milliseconds of their requests, and the API's share of the cores."""
    before, spent, began = _checkpoint(service, job_id), _cpu_seconds(service), time.monotonic()
    taken = asyncio.run(measure(service.port, f"/v1/jobs/{job_id}", seconds))
    share = (_cpu_seconds(service) - spent) / (time.monotonic() - began) / usable_cores()
    return _rate(before, _checkpoint(service, job_id)), taken, share


def main() -> None:
    given = arguments(__doc__, rounds=4, seconds=10, characters=4_500_000)
    if given.quick:
        given.rounds, given.seconds = 1, 5
    with tempfile.TemporaryDirectory() as made:
        place = workplace(Path(made))
        place.settings["TIDESTONE_INGESTION__BATCH_SIZE"] = str(_BATCH_SIZE)
        write_library(place.library, given.characters)
        with serving(place) as service:
            job_id = service.start_job(place.library)
            _checkpoint(service, job_id)
            rounds = [_round(service, job_id, given.seconds) for _ in range(given.rounds)]
            if service.ask(f"/v1/jobs/{job_id}")["state"] != "running":
                raise SystemExit("The job ended before the measurement did: raise --characters.")
    _tell(rounds)


def _round(service: Service, job_id: str, seconds: int) -> tuple[float, float, list[float], float]:
    return quiet(service, job_id, seconds), *polled(service, job_id, seconds)


def _checkpoint(service: Service, job_id: str) -> tuple[float, int]:
    """(monotonic seconds, tokens embedded so far) at the next checkpoint."""
    first = service.ask(f"/v1/jobs/{job_id}")
    while True:
        job = service.ask(f"/v1/jobs/{job_id}")
        if job["progress"]["tokens"] > first["progress"]["tokens"]:
            return time.monotonic(), job["progress"]["tokens"]
        time.sleep(0.05)


def _cpu_seconds(service: Service) -> float:
    """Of the API process, without its children."""
    fields = Path(f"/proc/{service.process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _rate(before: tuple[float, int], after: tuple[float, int]) -> float:
    return (after[1] - before[1]) / (after[0] - before[0])


def _tell(rounds: list[tuple[float, float, list[float], float]]) -> None:
    without, during, latencies, shares = zip(*rounds, strict=True)
    taken = sorted(each for window in latencies for each in window)
    p99 = taken[len(taken) * 99 // 100]
    print(f"{len(taken)} requests by {POLLERS} pollers in {len(rounds)} windows")
    show(
        ("p50 ms", "p99 ms", "worst ms", "tokens/s without", "with", "API, % of the cores"),
        [(statistics.median(taken), p99, taken[-1], *map(statistics.median, (without, during)),
          100 * statistics.median(shares))],
    )  # fmt: skip
    verdict("p99, ms", p99, 15)
    verdict("loss of embedding rate", 1 - median_ratio(during, without), 0.05)


if __name__ == "__main__":
    main()
