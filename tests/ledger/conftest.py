from collections.abc import Iterator
from pathlib import Path

import pytest

from service.ledger.database import Ledger, sqlite_url
from service.ledger.migrate import migrate


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    made = Ledger.open(sqlite_url(tmp_path))
    migrate(made)
    yield made
    made.close()
