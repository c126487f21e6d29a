import os
import random

import pytest

pytest.register_assert_rewrite("tests.engine.stories")  # before its first import


@pytest.fixture
def chance() -> random.Random:
    """Other chances in every run of the tests; TEST_SEED, printed when a test fails, gives the same ones again."""
    seed = int(os.environ.get("TEST_SEED") or random.SystemRandom().randrange(1 << 32))
    print(f"TEST_SEED={seed}")
    return random.Random(seed)
