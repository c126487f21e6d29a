"""Units are formed as the pool needs them, and no text is forgotten."""

import threading

import pytest

from service.embedders.waiting import AHEAD_CHARACTERS, Task, Waiting
from service.errors import Stopped, TryAgain


def _filled(texts: list[str], children: int = 1) -> tuple[Waiting, list[Task]]:
    waiting, tasks = Waiting(children), [Task(text) for text in texts]
    for task in tasks:
        waiting.put(task)
    return waiting, tasks


def test_long_texts_go_in_fours_in_order() -> None:
    waiting, tasks = _filled(["x" * 1000] * 9)
    assert [waiting.take() for _ in range(3)] == [tasks[:4], tasks[4:8], tasks[8:]]


def test_short_texts_share_a_unit_so_that_a_decode_can_be_filled() -> None:
    waiting, _ = _filled(["x" * 100] * 500)
    assert len(waiting.take()) == 20
    waiting, _ = _filled(["x"] * 500)
    assert len(waiting.take()) == 64


def test_the_last_texts_are_dealt_out_evenly() -> None:
    waiting, _ = _filled(["x" * 1000] * 4, children=2)
    assert [len(waiting.take()) for _ in range(3)] == [2, 1, 1]


def test_a_suspect_travels_alone() -> None:
    waiting, tasks = _filled(["a", "b", "c"])
    unit = waiting.take()
    unit[1].alone = True
    waiting.put_first(unit)
    assert [waiting.take() for _ in range(3)] == [[tasks[0]], [tasks[1]], [tasks[2]]]


def test_what_does_not_fit_the_pipe_is_not_sent_ahead() -> None:
    waiting, tasks = _filled(["x" * (AHEAD_CHARACTERS + 1)])
    assert waiting.take_ahead() == []
    assert waiting.take() == tasks
    assert waiting.take_ahead() == []


def test_an_urgent_text_goes_first() -> None:
    waiting, _ = _filled(["x" * 1000] * 5)
    urgent = Task("now")
    waiting.put(urgent, urgent=True)
    assert waiting.take()[0] is urgent


def test_cancelled_texts_are_dropped() -> None:
    waiting, tasks = _filled(["x" * 1000] * 6)
    for task in tasks[:5]:
        assert task.future.cancel()
    assert waiting.take() == tasks[5:]
    assert not tasks[5].future.cancel()


def test_failing_answers_everything_that_waits_and_nothing_that_comes_later() -> None:
    waiting, tasks = _filled(["a", "b"])
    waiting.fail(TryAgain("no_memory"))
    assert all(isinstance(task.future.exception(0), TryAgain) for task in tasks)
    later = Task("c")
    waiting.put(later)
    assert waiting.take() == [later]


def test_closing_lets_takers_go_cancels_what_waits_and_stops_what_comes_back() -> None:
    waiting, tasks = _filled(["x" * 1000] * 5)
    unit = waiting.take()
    waiting.put_first(unit[:1])
    waiting.close()
    assert waiting.take() == []
    assert tasks[4].future.cancelled()
    waiting.put_first(unit[1:])
    assert all(isinstance(task.future.exception(0), Stopped) for task in unit)
    with pytest.raises(Stopped):
        waiting.put(Task("late"))


def test_a_taker_sleeps_until_there_is_a_text() -> None:
    waiting = Waiting(1)
    taken: list[list[Task]] = []
    taker = threading.Thread(target=lambda: taken.append(waiting.take()))
    taker.start()
    task = Task("x")
    waiting.put(task)
    taker.join(10)
    assert taken == [[task]]
