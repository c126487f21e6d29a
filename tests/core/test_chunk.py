"""Chunks fit, lose nothing, break at good places, and stay where they are when the text changes elsewhere."""

import random
import statistics
import time
from itertools import pairwise

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from service.core.chunk import Cut, chunk
from tests.parsers.counters import Grudging, WordPieces

COUNTERS = {"additive": WordPieces().count, "not additive": Grudging().count}
WORDS = "tide gauge harbour lantern of the a quay measured and north mole reading at buoy which water".split()  # noqa: SIM905

TEXTS = st.lists(
    st.one_of(
        st.text(max_size=30),
        st.sampled_from(
            ["\n\n", "\n", " ", ". ", "# Heading\n\n", "word " * 30, "x" * 200, "。", "    if x:\n"]
        ),
    ),
    max_size=25,
).map("".join)


def prose(seed: int, paragraphs: int, shortest: int = 30, longest: int = 110) -> list[str]:
    """Paragraphs of sentences, the same for the same seed; lengths in words."""
    chance = random.Random(seed)
    return [
        " ".join(
            chance.choice(WORDS) + ("." if chance.random() < 0.1 else "")
            for _ in range(chance.randint(shortest, longest))
        )
        for _ in range(paragraphs)
    ]


def texts(text: str, overlap: int = 32, size: int = 256) -> list[str]:
    return [text[cut.start : cut.stop] for cut in chunk(text, COUNTERS["additive"], size, overlap)]


@pytest.mark.parametrize("counter", COUNTERS)
@settings(max_examples=150, deadline=None)
@given(text=TEXTS, size=st.integers(14, 60), overlap=st.integers(0, 8))
def test_every_chunk_fits_and_no_character_is_lost(counter: str, text: str, size: int, overlap: int) -> None:
    count = COUNTERS[counter]
    cuts = list(chunk(text, count, size, overlap))
    held = {i for cut in cuts for i in range(cut.start, cut.stop)}
    assert [c for i, c in enumerate(text) if i not in held and not c.isspace()] == []
    assert all(cut.tokens == count(text[cut.start : cut.stop]) <= size for cut in cuts)


@settings(max_examples=100, deadline=None)
@given(text=TEXTS, size=st.integers(20, 60), overlap=st.integers(0, 8))
@example(text="x" * 197 + "0:\x1b 1\r0;0\x1b0:\x1b0:0:00:\x080\x1b0\x1b0:0:0", size=24, overlap=1)
def test_chunks_advance_and_overlap_by_no_more_than_asked(text: str, size: int, overlap: int) -> None:
    count = COUNTERS["additive"]
    cuts = list(chunk(text, count, size, overlap))
    for one, two in pairwise(cuts):
        assert one.start < two.start
        assert one.stop < two.stop
        assert count(text[two.start : one.stop]) - 2 <= overlap


def test_the_same_text_gives_the_same_chunks() -> None:
    text = "\n\n".join(prose(1, 40))
    assert texts(text) == texts(text)


def test_an_empty_text_has_no_chunks_and_a_short_one_has_one() -> None:
    assert list(chunk(" \n ", COUNTERS["additive"], 256, 32)) == []
    assert list(chunk("One two.\n", COUNTERS["additive"], 256, 32)) == [Cut(0, 8, 5)]


@pytest.mark.parametrize("overlap", [0, 32])
@pytest.mark.parametrize("lengths", [(30, 110), (60, 60), (200, 300)])
def test_a_sentence_inserted_in_paragraph_20_of_100_leaves_nine_chunks_in_ten(
    overlap: int, lengths: tuple[int, int]
) -> None:
    for seed in range(12):
        paragraphs = prose(seed, 100, *lengths)
        before = texts("\n\n".join(paragraphs), overlap)
        paragraphs[19] += " A sentence that was not there before, of a dozen words or so, now is."
        kept = set(before) & set(texts("\n\n".join(paragraphs), overlap))
        assert len(kept) >= 0.9 * len(before), seed


@pytest.mark.parametrize("glue", ["\n", ". ", " "])
def test_an_edit_stays_local_without_paragraphs_too(glue: str) -> None:
    for seed in range(6):
        lines = prose(seed, 600, 8, 20)
        before = texts(glue.join(lines))
        lines[120] += " and some more"
        kept = set(before) & set(texts(glue.join(lines)))
        assert len(kept) >= 0.9 * len(before), seed


def test_appending_leaves_everything_but_the_end() -> None:
    text = "\n\n".join(prose(3, 60))
    before, after = texts(text), texts(text + "\n\nAn afterthought, added later.")
    assert before[:-5] == after[: len(before) - 5]


@pytest.mark.parametrize("lengths", [(30, 110), (20, 60)])
def test_chunks_are_well_filled_and_none_is_a_crumb(lengths: tuple[int, int]) -> None:
    text = "\n\n".join(prose(4, 300, *lengths))
    sizes = [cut.tokens for cut in chunk(text, COUNTERS["additive"], 256, 32)]
    assert statistics.mean(sizes) > 0.65 * 256
    assert min(sizes) >= 64


def test_short_paragraphs_are_never_cut() -> None:
    paragraphs = prose(5, 80, 20, 60)
    for found in texts("\n\n".join(paragraphs)):
        assert found.split("\n\n")[0] in paragraphs
        assert found.split("\n\n")[-1] in paragraphs


def test_long_paragraphs_are_cut_at_sentences() -> None:
    text = " ".join(f"Sentence number {i} has some words in it." for i in range(200))
    found = texts(text)
    assert len(found) > 5
    assert all(piece.endswith(".") and piece.startswith("Sentence") for piece in found)


def test_a_heading_is_not_parted_from_its_text() -> None:
    for seed in range(30):
        sections = [f"## Heading {i}\n\n{text}" for i, text in enumerate(prose(seed, 40, 60, 150))]
        found = texts("\n\n".join(sections))
        assert not [piece for piece in found if piece.splitlines()[-1].startswith("##")]


def test_lines_of_code_stay_whole() -> None:
    lines = [f"    value_{i} = compute(value_{i - 1}, {i})" for i in range(300)]
    for found in texts("\n".join(lines), overlap=0):
        assert set(found.split("\n")) <= set(lines)


def test_a_chunk_that_begins_inside_a_paragraph_repeats_the_end_of_the_one_before() -> None:
    text = " ".join(f"Sentence {i} is short." for i in range(200))
    count = COUNTERS["additive"]
    overlaps = [count(text[b.start : a.stop]) - 2 for a, b in pairwise(chunk(text, count, 256, 32))]
    assert statistics.median(overlaps) >= 16
    assert max(overlaps) <= 32


def test_an_overlap_that_turns_out_too_long_is_left_out() -> None:
    count = COUNTERS["additive"]
    text = " ".join("letters" * 60 + " ((((((((((" * 6 + "." for _ in range(20))
    cuts = list(chunk(text, count, 256, 32))
    assert all(count(text[b.start : a.stop]) - 2 <= 32 for a, b in pairwise(cuts))


def test_paragraphs_do_not_overlap() -> None:
    cuts = list(chunk("\n\n".join(prose(8, 50, 20, 60)), COUNTERS["additive"], 256, 32))
    assert all(a.stop < b.start for a, b in pairwise(cuts))


@pytest.mark.parametrize(
    "text", ["x" * 200_000, "ab, " * 50_000, "界" * 60_000, "a. " * 60_000, " \n" * 100_000]
)
def test_texts_without_structure_take_no_quadratic_time(text: str) -> None:
    started = time.perf_counter()
    cuts = list(chunk(text, COUNTERS["additive"], 256, 32))
    assert sum(cut.stop - cut.start for cut in cuts) >= len(text.strip())
    assert time.perf_counter() - started < 5


def test_a_limit_that_nothing_fits_into_is_refused() -> None:
    with pytest.raises(ValueError, match="cannot hold"):
        list(chunk("some text", COUNTERS["additive"], 10, 8))
