"""The pool survives whatever happens to its children, and loses nothing by it."""

import os
import signal
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import ExitStack, closing
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from service.embedders.gguf_facts import read_space
from service.embedders.pool import LlamaPool
from service.errors import EmbedderDied, Refused, Stopped, TryAgain
from service.ports import Float32Vector
from tests.model import default_model

LONG = "Every batch of documents is safe on disk before the next one begins. " * 7  # about 100 tokens
TEXTS = [f"{n}. {LONG}" for n in range(20)]

Make = Callable[..., LlamaPool]


@pytest.fixture
def make() -> Iterator[Make]:
    """Pools of the default model, closed after the test; `max_tokens` may lie about it."""
    space = read_space(default_model())
    with ExitStack() as opened:

        def pool(max_tokens: int = 512, model: Path | None = None, **options: float) -> LlamaPool:
            claimed = replace(space, max_tokens=max_tokens)
            children, timeout = int(options.get("children", 2)), options.get("timeout_seconds", 120)
            return opened.enter_context(
                closing(LlamaPool(model or default_model(), claimed, children, timeout))
            )

        yield pool


@pytest.fixture(scope="module")
def expected() -> list[Float32Vector]:
    with closing(LlamaPool(default_model(), read_space(default_model()))) as pool:
        return [future.result(60) for future in [pool.submit(text) for text in TEXTS]]


def _same(futures: list[Future[Float32Vector]], expected: list[Float32Vector]) -> bool:
    return all(future.result(60) @ row >= 0.9999 for future, row in zip(futures, expected, strict=True))


def _until(true: Callable[[], object]) -> None:
    end = time.monotonic() + 30
    while not true():
        assert time.monotonic() < end, "waited 30 seconds in vain"
        time.sleep(0.01)


def _is_dead(pid: int) -> bool:
    """Whether all its threads have ended: /proc says Z before that, when the first one has."""
    return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGABRT])
def test_a_child_killed_at_work_costs_a_retry_and_nothing_else(
    make: Make, expected: list[Float32Vector], number: signal.Signals
) -> None:
    pool = make()
    futures = [pool.submit(text) for text in TEXTS]
    _until(lambda: sum(future.done() for future in futures) >= 4)
    os.kill(pool.pids()[0], number)
    assert _same(futures, expected)
    assert pool.restarts == {number.name.lower(): 1}


def test_a_text_that_aborts_in_native_code_is_found_and_the_others_are_embedded(
    make: Make, expected: list[Float32Vector]
) -> None:
    # A window that the model does not have lets a text through whose positions llama.cpp aborts on.
    pool = make(max_tokens=1024)
    poison = "word " * 600
    futures = [pool.submit(text) for text in TEXTS[:7]]
    died = pool.submit(poison)
    futures += [pool.submit(text) for text in TEXTS[7:]]
    assert isinstance(died.exception(60), EmbedderDied)
    assert _same(futures, expected)
    assert set(pool.restarts) == {"sigabrt"}
    assert pool.restarts["sigabrt"] == 3  # with its unit, then twice alone
    assert pool.submit(TEXTS[0]).result(60) @ expected[0] >= 0.9999


def test_a_hanging_child_is_killed_and_its_texts_are_embedded(
    make: Make, expected: list[Float32Vector]
) -> None:
    pool = make(timeout_seconds=2)
    futures = [pool.submit(text) for text in TEXTS]
    _until(lambda: sum(future.done() for future in futures) >= 4)
    os.kill(pool.pids()[0], signal.SIGSTOP)
    assert _same(futures, expected)
    assert pool.restarts == {"hung": 1}


def test_a_child_that_dies_at_rest_is_replaced_and_blames_no_text(make: Make) -> None:
    pool = make(children=1)
    pool.submit("first").result(60)
    for _ in range(3):
        before = pool.pids()
        os.kill(before[0], signal.SIGKILL)
        _until(partial(_is_dead, before[0]))
        assert np.isfinite(pool.submit("the same text each time").result(60)).all()
        assert pool.pids() != before
    assert pool.restarts == {"sigkill": 3}


def test_a_death_at_rest_does_not_count_against_the_next_text(make: Make) -> None:
    pool = make(children=1, max_tokens=1024)
    pool.submit("first").result(60)
    (pid,) = pool.pids()
    os.kill(pid, signal.SIGKILL)
    _until(partial(_is_dead, pid))
    assert isinstance(pool.submit("word " * 600).exception(60), EmbedderDied)
    assert pool.restarts == {"sigkill": 1, "sigabrt": 2}


def test_a_model_that_is_gone_refuses_and_says_so(make: Make, tmp_path: Path) -> None:
    pool = make(model=tmp_path / "gone.gguf")
    futures = [pool.submit(text) for text in TEXTS]
    for future in futures:
        assert isinstance(future.exception(60), Refused)
        assert "gone.gguf" in str(future.exception())


def test_a_model_cut_short_refuses_and_a_mended_one_works(make: Make, tmp_path: Path) -> None:
    model = tmp_path / "model.gguf"
    model.write_bytes(default_model().read_bytes()[:20_000_000])
    pool = make(model=model, children=1)
    with pytest.raises(Refused, match="build or copy the model again"):
        pool.submit("text").result(60)
    model.write_bytes(default_model().read_bytes())
    assert np.isfinite(pool.submit("text").result(60)).all()


def test_children_that_cannot_start_are_tried_three_times_and_then_it_says_try_again(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.executable", "/bin/false")
    pool = make(children=1)
    with pytest.raises(TryAgain, match="no child could be started"):
        pool.embed_query("text")
    monkeypatch.undo()
    assert np.isfinite(pool.embed_query("text")).all()


def test_cancelled_texts_are_not_embedded(make: Make) -> None:
    pool = make(children=1)
    pool.submit("warm").result(60)
    before = pool.tokens
    futures = [pool.submit(text) for text in TEXTS]
    cancelled = [future.cancel() for future in futures]
    done = [future for future, gone in zip(futures, cancelled, strict=True) if not gone]
    assert sum(cancelled) >= len(TEXTS) - 8
    assert all(future.result(60) is not None for future in done)
    pool.submit("warm").result(60)
    assert pool.tokens - before <= len(done) * 110 + 10


def test_a_query_does_not_wait_for_what_is_queued(make: Make) -> None:
    pool = make(children=1)
    futures = [pool.submit(text) for text in TEXTS]
    pool.embed_query("urgent")
    assert not futures[-1].done()


def test_close_ends_the_children_and_answers_everything(make: Make) -> None:
    pool = make()
    futures = [pool.submit(text) for text in TEXTS]
    _until(lambda: futures[0].done())
    pids = pool.pids()
    pool.close()
    assert all(future.done() for future in futures)
    assert any(future.cancelled() for future in futures)
    in_hand = [future.exception() for future in futures if not future.cancelled()]
    assert all(error is None or isinstance(error, Stopped) for error in in_hand)
    assert not any(Path(f"/proc/{pid}").exists() for pid in pids)
    assert pool.pids() == []


def test_close_while_the_children_load_the_model(make: Make) -> None:
    pool = make()
    future = pool.submit("text")
    _until(pool.pids)
    pool.close()
    assert future.cancelled() or isinstance(future.exception(), Stopped)


def test_no_child_exists_before_the_first_text(make: Make) -> None:
    pool = make()
    assert pool.pids() == []
    pool.close()


def test_texts_and_answers_larger_than_a_pipe_do_not_lock_parent_and_child(make: Make) -> None:
    pool = make(children=1, timeout_seconds=10)
    large = " " * 200_000 + "text"  # white space is no token
    futures = [pool.submit(text) for text in TEXTS[:4] + (["x"] * 256 + [large]) * 2]
    assert all(np.isfinite(future.result(60)).all() for future in futures)
    assert pool.restarts == {}


def test_tokens_are_counted_with_special_tokens_and_without_refused_texts(make: Make) -> None:
    pool = make()
    futures = [pool.submit("hello world"), pool.submit("word " * 600), pool.submit("hello")]
    assert [future.exception(60) is None for future in futures] == [True, False, True]
    assert pool.tokens == 4 + 3
