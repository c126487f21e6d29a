"""The pool of llama.cpp children keeps the contract, with the real model."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing

import pytest

from service.embedders.gguf_facts import read_space
from service.embedders.pool import LlamaPool
from service.ports import Embedder
from tests.contracts.embedder import EmbedderContract
from tests.model import default_model


def _pool(prefix: str = "", query_prefix: str = "") -> LlamaPool:
    path = default_model()
    space = read_space(path, prefix=prefix, query_prefix=query_prefix)
    return LlamaPool(path, space, children=2)


@pytest.fixture(scope="module")
def shared() -> Iterator[LlamaPool]:
    with closing(_pool()) as pool:
        yield pool


class TestLlama(EmbedderContract):
    @pytest.fixture
    def embedder(self, shared: LlamaPool) -> Embedder:
        return shared

    @pytest.fixture
    def make(self) -> Iterator[Callable[..., Embedder]]:
        with ExitStack() as opened:
            yield lambda **changes: opened.enter_context(closing(_pool(**changes)))
