"""The fake and the folder tree keep the sources' contract."""

from pathlib import Path

import pytest

from service.sources.library import Library
from tests.contracts.source import Build, SourceContract
from tests.fake_source import FakeSource


class TestFakeSource(SourceContract):
    @pytest.fixture
    def build(self, tmp_path: Path) -> Build:
        return lambda files: FakeSource(tmp_path, files)


class TestLibrary(SourceContract):
    @pytest.fixture
    def build(self, tmp_path: Path) -> Build:
        def make(files: dict[str, str]) -> Library:
            for name, text in files.items():
                (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
                (tmp_path / name).write_text(text)
            return Library(tmp_path)

        return make
