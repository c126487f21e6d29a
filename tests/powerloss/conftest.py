import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.powerloss.recording import Recording, record, why_not
from tests.powerloss.scenes import SCENES

_MEMORY = Path("/dev/shm")  # syncs are recorded there as anywhere, and cost nothing


@pytest.fixture(scope="session")
def memory() -> Iterator[Path]:
    """A folder in memory where there is such a place."""
    with tempfile.TemporaryDirectory(dir=_MEMORY if _MEMORY.is_dir() else None) as made:
        yield Path(made)


@pytest.fixture(scope="session")
def recordings(memory: Path) -> dict[str, Recording]:
    """Every scene, recorded once."""
    if reason := why_not():
        assert "STRICT_TESTS" not in os.environ, reason
        pytest.skip(f"strace cannot record here: {reason}")
    return record(memory, list(SCENES))
