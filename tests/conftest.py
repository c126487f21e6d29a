import os
import random

import pytest

from service.core import pace
from service.engine import claims, ingest, lease, worker

pytest.register_assert_rewrite("tests.engine.stories")  # before its first import


@pytest.fixture
def chance() -> random.Random:
    """Other chances in every run of the tests; TEST_SEED, printed when a test fails, gives the same ones again."""
    seed = int(os.environ.get("TEST_SEED") or random.SystemRandom().randrange(1 << 32))
    print(f"TEST_SEED={seed}")
    return random.Random(seed)


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Seconds become hundredths."""
    monkeypatch.setattr(lease, "WISH_SECONDS", 0.01)
    monkeypatch.setattr(lease, "BEAT_SECONDS", 0.02)
    monkeypatch.setattr(ingest, "_TICK_SECONDS", 0.01)
    monkeypatch.setattr(claims, "_LOOK_AGAIN_SECONDS", 0.01)
    monkeypatch.setattr(worker, "IDLE_SECONDS", 0.01)
    monkeypatch.setattr(worker, "HOLD_SECONDS", 0.0)
    monkeypatch.setattr(pace, "FIRST_BACKOFF_SECONDS", 0.01)
