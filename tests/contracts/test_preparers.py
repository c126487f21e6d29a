"""The sandbox keeps the preparers' contract."""

from collections.abc import Iterator

import pytest

from service.parsers.sandbox import Sandbox, SandboxSettings
from tests.contracts.preparer import PreparerContract


class TestSandbox(PreparerContract):
    @pytest.fixture(scope="class")
    def preparer(self) -> Iterator[Sandbox]:
        sandbox = Sandbox(SandboxSettings("tests.parsers.counters:WordPieces", "."))
        yield sandbox
        sandbox.close()
