"""Sequences share decodes without one being lost, doubled or squeezed in."""

from hypothesis import given
from hypothesis import strategies as st

from service.embedders.packing import pack

LENGTHS = st.lists(st.integers(1, 600), max_size=80)


@given(LENGTHS)
def test_every_sequence_is_in_exactly_one_decode(lengths: list[int]) -> None:
    assert sorted(at for group in pack(lengths) for at in group) == list(range(len(lengths)))


@given(LENGTHS)
def test_a_decode_stays_within_its_tokens_unless_one_sequence_alone_is_longer(lengths: list[int]) -> None:
    for group in pack(lengths, target=256):
        assert len(group) == 1 or sum(lengths[at] for at in group) <= 256


@given(LENGTHS, st.integers(1, 8))
def test_a_decode_holds_no_more_sequences_than_the_engine_takes(lengths: list[int], most: int) -> None:
    assert all(len(group) <= most for group in pack(lengths, most=most))


@given(LENGTHS)
def test_no_two_decodes_could_have_been_one(lengths: list[int]) -> None:
    sums = sorted(sum(lengths[at] for at in group) for group in pack(lengths, target=256, most=1000))
    assert len(sums) < 2 or sums[0] + sums[1] > 256
