"""Deadlines are kept, and only missed ones act."""

import threading
import time

from service.embedders.watchdog import Watchdog


def test_a_block_that_takes_too_long_is_acted_upon_while_it_runs() -> None:
    watchdog, acted = Watchdog(0.05), threading.Event()
    with watchdog.or_else(lambda: acted.set()):
        assert acted.wait(10)
    watchdog.close()


def test_a_block_in_time_is_left_alone() -> None:
    watchdog, acted = Watchdog(0.1), threading.Event()
    for _ in range(20):
        with watchdog.or_else(acted.set):
            time.sleep(0.01)
    assert not acted.is_set()
    watchdog.close()


def test_several_blocks_have_their_own_deadlines() -> None:
    watchdog, first, second = Watchdog(0.15), threading.Event(), threading.Event()
    with watchdog.or_else(first.set):
        for _ in range(5):
            with watchdog.or_else(second.set):
                time.sleep(0.06)
    assert first.is_set()
    assert not second.is_set()
    watchdog.close()
