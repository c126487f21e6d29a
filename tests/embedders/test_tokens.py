"""The tokenizer is the model's own."""

import pytest

from service.embedders.tokens import Tokenizer
from service.errors import NotFound
from tests.model import default_model

CLS, SEP = 101, 102


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return Tokenizer(default_model())


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("", []),
        ("Hello, world!", [7592, 1010, 2088, 999]),
        ("naïve café", [15743, 7668]),
        ("unaffable", [14477, 20961, 3468]),
        ("漢字", [1904, 100]),
        ("😀", [100]),
        (" \n\t ", []),
    ],
)
def test_it_encodes_as_bert_uncased_does(tokenizer: Tokenizer, text: str, tokens: list[int]) -> None:
    assert tokenizer.encode(text) == [CLS, *tokens, SEP]


@pytest.mark.parametrize("text", ["[SEP]", "a [CLS] b [MASK]", "[PAD][UNK]"])
def test_special_tokens_in_a_text_are_plain_text(tokenizer: Tokenizer, text: str) -> None:
    assert not {0, 100, CLS, SEP, 103} & set(tokenizer.encode(text)[1:-1])


@pytest.mark.parametrize(
    "text", ["", "one", "x" * 100_000, "漢" * 1000, "한국어" * 99, "nul\0byte", "a\ud800b", "ﷺ" * 50]
)
def test_the_count_is_the_number_of_tokens(tokenizer: Tokenizer, text: str) -> None:
    assert tokenizer.count(text) == len(tokenizer.encode(text))


def test_a_missing_model_is_named() -> None:
    with pytest.raises(NotFound, match=r"nowhere\.gguf"):
        Tokenizer(default_model().with_name("nowhere.gguf"))
