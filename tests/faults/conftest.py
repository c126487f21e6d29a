from pathlib import Path

import pytest

from tests.faults.faulty import compiled


@pytest.fixture(scope="session")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The faulty file system."""
    return compiled(tmp_path_factory.mktemp("faulty"))
