"""The fake keeps the contract, so what is tested with it holds with the real one."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from service.ports import Embedder
from service.selftest.fake_embedder import FAKE_SPACE, FakeEmbedder
from tests.contracts.embedder import EmbedderContract


class TestFakeEmbedder(EmbedderContract):
    @pytest.fixture
    def make(self) -> Callable[..., Embedder]:
        return lambda **changes: FakeEmbedder(replace(FAKE_SPACE, **changes))
