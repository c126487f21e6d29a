"""What every `Embedder` does; a subclass gives `make`, a fixture that takes prefixes and makes one."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from service.errors import Stopped, TooLong
from service.ports import Embedder

TEXTS = [
    f"The {thing} of checkpoint {n} is kept. " * (n % 11 + 1) for n, thing in enumerate(["hash", "size"] * 12)
]
ODD_TEXTS = [
    "",
    " ",
    "\n\t",
    "😀🚀",
    "[SEP]",
    "[CLS] [MASK] [PAD]",
    "nul\0byte",
    "a\ud800b",
    "é",
    "e\u0301",
    "漢字",
]


class EmbedderContract:
    @pytest.fixture
    def embedder(self, make: Callable[..., Embedder]) -> Embedder:
        return make()

    def test_rows_are_float32_of_unit_length(self, embedder: Embedder) -> None:
        for future in [embedder.submit(text) for text in TEXTS + ODD_TEXTS]:
            row = future.result(60)
            assert row.shape == (embedder.space.dimensions,)
            assert row.dtype == np.float32
            assert np.linalg.norm(row) == pytest.approx(1, abs=1e-5)

    def test_every_future_gets_the_row_of_its_own_text_however_it_was_batched(
        self, embedder: Embedder
    ) -> None:
        together = [future.result(60) for future in [embedder.submit(text) for text in TEXTS]]
        for text, row in zip(TEXTS, together, strict=True):
            assert embedder.submit(text).result(60) @ row >= 0.9999

    def test_different_texts_get_different_rows(self, embedder: Embedder) -> None:
        texts = ["", "[SEP]", "[CLS]", "sep", "cheese", "a bridge"]
        rows = np.stack([embedder.submit(text).result(60) for text in texts])
        assert (rows @ rows.T - np.eye(len(texts)) < 0.999).all()

    def test_a_text_beyond_the_window_is_too_long_and_its_neighbours_are_not(
        self, embedder: Embedder
    ) -> None:
        limit = embedder.space.max_tokens
        texts = ["before", "word " * 5 * limit, "between", "x" * 100_000, "after"]
        futures = [embedder.submit(text) for text in texts]
        for at in (1, 3):
            error = futures[at].exception(60)
            assert isinstance(error, TooLong)
            assert error.tokens > error.limit == limit
        for at in (0, 2, 4):
            assert np.isfinite(futures[at].result(60)).all()

    def test_prefixes_are_put_before_documents_and_queries(self, make: Callable[..., Embedder]) -> None:
        plain, prefixed = make(), make(prefix="passage: ", query_prefix="query: ")
        assert prefixed.submit("tide").result(60) @ plain.submit("passage: tide").result(60) >= 0.9999
        assert prefixed.embed_query("tide") @ plain.embed_query("query: tide") >= 0.9999
        assert prefixed.embed_query("tide") @ plain.embed_query("tide") < 0.999

    def test_a_query_beyond_the_window_is_too_long(self, embedder: Embedder) -> None:
        with pytest.raises(TooLong):
            embedder.embed_query("word " * 5 * embedder.space.max_tokens)

    def test_many_threads_may_submit(self, embedder: Embedder) -> None:
        with ThreadPoolExecutor(8) as threads:
            rows = list(threads.map(lambda text: embedder.submit(text).result(60), TEXTS))
        assert all(
            embedder.submit(text).result(60) @ row >= 0.9999 for text, row in zip(TEXTS, rows, strict=True)
        )

    def test_after_close_nothing_is_taken(self, make: Callable[..., Embedder]) -> None:
        embedder = make()
        embedder.submit("something").result(60)
        embedder.close()
        embedder.close()
        with pytest.raises(Stopped):
            embedder.submit("more")
