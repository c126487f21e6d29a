"""The fake and the sandbox keep the preparers' contract."""

from collections.abc import Iterator

import pytest

from service.parsers.sandbox import Sandbox, SandboxSettings
from service.selftest.fake_preparer import FakePreparer
from tests.contracts.preparer import PreparerContract


@pytest.fixture(scope="module")
def shared() -> Iterator[Sandbox]:
    sandbox = Sandbox(SandboxSettings("tests.parsers.counters:WordPieces", "."))
    yield sandbox
    sandbox.close()


class TestFakePreparer(PreparerContract):
    damaged = ("a.txt", b"DAMAGED beyond reading")

    @pytest.fixture
    def preparer(self) -> FakePreparer:
        return FakePreparer()


class TestSandbox(PreparerContract):
    damaged = ("a.pdf", b"%PDF-1.4\n%%EOF")

    @pytest.fixture
    def preparer(self, shared: Sandbox) -> Sandbox:
        return shared
