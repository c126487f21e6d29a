"""A library of real documents, and what becomes of it when nothing goes wrong."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.real import LARGE_BYTES, SAMPLES, Contents, Run, uninterrupted


@pytest.fixture(scope="session")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Real documents of every type, and one that is large."""
    made = tmp_path_factory.mktemp("real") / "library"
    shutil.copytree(SAMPLES, made, ignore=shutil.ignore_patterns("hostile", "almanac"))
    with (SAMPLES / "almanac/tide-gauge-almanac.txt").open() as almanac:
        (made / "almanac.txt").write_text(almanac.read(LARGE_BYTES))
    for path in made.rglob("*"):
        os.utime(path, (1_600_000_000, 1_600_000_000))
    return made


@pytest.fixture(scope="session")
def truth(library: Path, tmp_path_factory: pytest.TempPathFactory) -> Contents:
    """What an uninterrupted run makes of it."""
    return uninterrupted(library, tmp_path_factory.mktemp("truth") / "data")


@pytest.fixture
def run(library: Path, tmp_path: Path) -> Iterator[Run]:
    made = Run(library, tmp_path / "data")
    yield made
    if made.running:
        assert made.process is not None
        made.process.kill()
        made.process.wait()
