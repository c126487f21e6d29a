"""Signals ask a worker to end, however many come, and whatever its main thread is doing just then."""

import subprocess
import sys
import time

from tests.running import REPOSITORY

ASKED_WHILE_IT_WAITS = """
from threading import Event
from service.working import stop_on_signals

stop = Event()
stop_on_signals(stop)
print("ready", flush=True)
while not stop.wait(0.0001):
    pass
print("ended", flush=True)
"""
TRIES = 8


def test_signals_that_come_at_once_end_the_wait() -> None:
    for _ in range(TRIES):
        child = subprocess.Popen(
            [sys.executable, "-c", ASKED_WHILE_IT_WAITS], cwd=REPOSITORY, stdout=subprocess.PIPE, text=True
        )
        try:
            assert child.stdout is not None
            assert child.stdout.readline() == "ready\n"
            deadline = time.monotonic() + 10
            while child.poll() is None:
                assert time.monotonic() < deadline, "it waits for its own lock"
                child.terminate()
            assert child.stdout.read() == "ended\n"
        finally:
            child.kill()
            child.communicate()
