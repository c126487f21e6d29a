"""A million of the same take seconds, not hours: nothing that reads a text is quadratic in its runs."""

import time
from collections.abc import Callable

import pytest

from service.core.clean import clean
from service.core.units import Units

MANY = 1_000_000
MOST_SECONDS = 30  # generous: what is linear takes two at most, what is quadratic takes hours
RUNS = [" ", "\t", "\n", " \n", "-", "a", "a-\n", "aa-\n", "é", "]", ".]", "\u0301"]
TO_CLEAN = [*RUNS, "\r", "\u00ad ", "\x02\n", "a\x02", "\u0301\u0323", "\u3000", "ａ", "ﬁ"]
TO_CUT = [*RUNS, ".", '."', "!", "# ", "。"]


def within_seconds(work: Callable[[], object]) -> None:
    start = time.process_time()
    work()
    assert time.process_time() - start < MOST_SECONDS


@pytest.mark.parametrize("keep", [False, True])
@pytest.mark.parametrize("run", TO_CLEAN, ids=ascii)
def test_cleaning_is_linear(run: str, keep: bool) -> None:
    text = "word" + run * (MANY // len(run)) + "word"
    within_seconds(lambda: clean(text, keep))


@pytest.mark.parametrize("run", TO_CUT, ids=ascii)
def test_finding_units_is_linear(run: str) -> None:
    text = "word" + run * (MANY // len(run)) + "word"
    within_seconds(lambda: Units(text, lambda unit: len(unit) // 4, 200))
