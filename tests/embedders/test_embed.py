"""The rules around an engine hold for any engine."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from service.core.space import Space
from service.embedders.embed import embed
from service.embedders.gguf_facts import read_space
from service.embedders.packing import SEQUENCES_PER_DECODE, TOKENS_PER_DECODE
from service.embedders.tokens import Tokenizer
from service.ports import Float32Matrix
from tests.model import default_model


class CountingEngine:
    """A second engine: a row tells its sequence's length and last word."""

    def __init__(self) -> None:
        self.decodes: list[list[int]] = []

    def decode(self, sequences: Sequence[Sequence[int]]) -> Float32Matrix:
        self.decodes.append([len(tokens) for tokens in sequences])
        return np.array([[len(tokens), tokens[-2], 0] for tokens in sequences], dtype=np.float32)


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return Tokenizer(default_model())


@pytest.fixture(scope="module")
def space() -> Space:
    return replace(read_space(default_model()), dimensions=3, normalised=False, max_tokens=300)


def test_rows_come_in_the_order_of_the_texts_however_they_are_packed(
    tokenizer: Tokenizer, space: Space
) -> None:
    texts = ["word " * (n * 37 % 200 + 1) for n in range(100)]
    engine = CountingEngine()
    result = embed(texts, tokenizer, engine, space)
    assert result.rows[:, 0].tolist() == [tokenizer.count(text) for text in texts] == result.tokens
    assert all(sum(lengths) <= TOKENS_PER_DECODE for lengths in engine.decodes if len(lengths) > 1)
    assert all(len(lengths) <= SEQUENCES_PER_DECODE for lengths in engine.decodes)
    assert len(engine.decodes) < 60


def test_what_is_too_long_never_reaches_the_engine(tokenizer: Tokenizer, space: Space) -> None:
    engine = CountingEngine()
    result = embed(["a", "word " * 299, "word " * 298], tokenizer, engine, space)
    assert result.tokens == [3, 301, 300]
    assert engine.decodes == [[300], [3]]
    assert result.rows[1].tolist() == [0, 0, 0]


def test_rows_are_normalised_where_the_space_is(tokenizer: Tokenizer, space: Space) -> None:
    rows = embed(["a", "b c"], tokenizer, CountingEngine(), replace(space, normalised=True)).rows
    assert np.linalg.norm(rows, axis=1) == pytest.approx([1, 1])


def test_nothing_in_nothing_out(tokenizer: Tokenizer, space: Space) -> None:
    assert embed([], tokenizer, CountingEngine(), space).rows.shape == (0, 3)
