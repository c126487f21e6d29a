"""The choice of what to merge, over whole lives of collections."""

from collections.abc import Iterable
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from service.core.merging import LARGE_SHARE, TARGET_BYTES, TARGET_ROWS, LiveSegment, choose_large, choose_run

ROW_BYTES = 2_000


def _segment(batch: int, rows: int) -> LiveSegment:
    return LiveSegment(batch, batch, rows, rows, rows * ROW_BYTES)


def _live(sizes: Iterable[int], max_live: int = 64) -> tuple[int, int, list[LiveSegment]]:
    """Append segments one by one; returns (most that were ever live, rows rewritten, what is live)."""
    live: list[LiveSegment] = []
    most = rewritten = 0
    for batch, rows in enumerate(sizes):
        run = choose_run(live, max_live)
        if run is not None:
            inputs = live[run.start : run.stop]
            kept = sum(segment.live_rows for segment in inputs)
            assert kept <= TARGET_ROWS
            assert len(inputs) > 1
            merged = replace(_segment(inputs[0].first_batch, kept), last_batch=inputs[-1].last_batch)
            live[run.start : run.stop] = [merged]
            rewritten += kept
        live.append(_segment(batch, rows))
        most = max(most, len(live))
    return most, rewritten, live


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(1, 4096) | st.sampled_from([1, 4096]), min_size=100, max_size=700))
def test_at_most_64_are_live_and_a_row_is_seldom_rewritten(sizes: list[int]) -> None:
    most, rewritten, live = _live(sizes)
    assert most <= 64
    assert rewritten <= 3 * sum(sizes)
    assert [s.first_batch for s in live[1:]] == [s.last_batch + 1 for s in live[:-1]]
    assert sum(s.rows for s in live) == sum(sizes)


def test_write_amplification_of_a_million_vectors() -> None:
    for batch, most_per_row in ((1_000, 1.1), (100, 2.0)):
        most, rewritten, _ = _live([batch] * (1_000_000 // batch))
        assert most <= 64
        assert rewritten <= most_per_row * 1_000_000


def test_three_million_rows_fit_below_64_segments() -> None:
    most, _, _ = _live([4_096] * (3_000_000 // 4_096))
    assert most <= 64


@given(st.integers(2, 10), st.integers(10, 60))
def test_a_smaller_bound_holds_too(max_live: int, count: int) -> None:
    assert _live([500] * count, max_live)[0] <= max_live


def test_nothing_is_merged_while_there_is_room() -> None:
    assert choose_run([_segment(n, 1) for n in range(63)]) is None


def test_dead_rows_cost_nothing() -> None:
    live = [_segment(n, 1_000) for n in range(64)]
    live[30:32] = [replace(segment, live_rows=0) for segment in live[30:32]]
    assert choose_run([replace(s, mergeable=s.live_rows == 0) for s in live]) == range(30, 32)


def test_a_run_never_crosses_a_segment_that_must_stay() -> None:
    live = [replace(_segment(n, 10), mergeable=n != 40) for n in range(64)]
    assert choose_run(live) == range(40)


def test_the_target_bounds_rows_and_bytes() -> None:
    assert choose_run([_segment(n, TARGET_ROWS // 2 + 1) for n in range(64)]) is None
    heavy = [replace(_segment(n, 1), bytes=TARGET_BYTES // 2 + 1) for n in range(64)]
    assert choose_run(heavy) is None


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(1, 300), min_size=50, max_size=600))
def test_outside_the_lease_a_row_is_rewritten_about_once_and_all_but_the_end_is_large(
    sizes: list[int],
) -> None:
    most_rows, rewritten = 2_000, 0
    live = [_segment(batch, rows) for batch, rows in enumerate(sizes)]
    while (run := choose_large(live, most_rows)) is not None:
        inputs = live[run.start : run.stop]
        kept = sum(segment.live_rows for segment in inputs)
        assert LARGE_SHARE * most_rows <= kept <= most_rows
        merged = replace(_segment(inputs[0].first_batch, kept), last_batch=inputs[-1].last_batch)
        live[run.start : run.stop] = [merged]
        rewritten += kept
    assert rewritten <= sum(sizes)
    assert sum(s.rows for s in live) == sum(sizes)
    assert sum(s.rows for s in live if s.rows < LARGE_SHARE * most_rows) < most_rows


def test_a_large_segment_is_rewritten_alone_once_a_quarter_of_it_is_dead() -> None:
    large = replace(_segment(0, 1_000), live_rows=751)
    assert choose_large([large], 1_000) is None
    assert choose_large([replace(large, live_rows=750)], 1_000) == range(1)
    assert choose_large([replace(large, live_rows=750, mergeable=False)], 1_000) is None


def test_a_segment_gets_its_approximate_index_once_it_will_not_grow() -> None:
    lacking = replace(_segment(0, 700), lacks_codes=True)
    assert choose_large([lacking], 1_000) is None, "the next ones may join it"
    assert choose_large([lacking, _segment(1, 400)], 1_000) == range(1)
    assert choose_large([replace(_segment(0, 900), lacks_codes=True)], 1_000) == range(1)


@given(st.lists(st.tuples(st.integers(1, 900), st.booleans()), max_size=30))
def test_what_is_not_mergeable_is_never_chosen(drawn: list[tuple[int, bool]]) -> None:
    live = [replace(_segment(n, rows), mergeable=may) for n, (rows, may) in enumerate(drawn)]
    run = choose_large(live, 1_000)
    assert run is None or all(live[at].mergeable for at in run)
