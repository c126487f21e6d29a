"""The sandbox keeps the preparers' contract."""

from collections.abc import Iterator

import pytest

from service.parsers.sandbox import Sandbox, SandboxSettings
from tests.contracts.preparer import PreparerContract


@pytest.fixture(scope="module")
def shared() -> Iterator[Sandbox]:
    sandbox = Sandbox(SandboxSettings("tests.parsers.counters:WordPieces", "."))
    yield sandbox
    sandbox.close()


class TestSandbox(PreparerContract):
    @pytest.fixture
    def preparer(self, shared: Sandbox) -> Sandbox:
        return shared
