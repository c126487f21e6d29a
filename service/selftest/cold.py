"""A sample on whole processes: `tidestone ingest` with the configured model is killed, and given again."""

import os
import random
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from service.commands.session import load_settings
from service.configured_model import find_model
from service.errors import TidestoneError
from service.reader import Collection, Vector
from service.selftest.account import DOUBLED, LOST, MANUAL, UNREADABLE, Fault

MOST_SECONDS = 300
_LEAST_COSINE = 0.9999  # vectors depend in their last bits on what they were embedded together with
_DOCUMENTS = 12
_SENTENCES = (
    "The tide gauge at {place} is read every {n} minutes.",
    "When the fog signal of {place} fails, the keeper calls the coast guard {n} times.",
    "In {place} the mean sea level has risen by {n} millimetres.",
)
_PLACES = ("Harwich", "Aberdeen", "Brest", "Cuxhaven", "Stavanger", "Cascais")

Chunks = Mapping[tuple[str, int, str], Vector]


@dataclass(frozen=True, slots=True)
class Cold:
    """One data folder after the other for the same library, and the command that is given again and again."""

    folder: Path
    environment: Mapping[str, str]

    @classmethod
    def of(cls, folder: Path) -> "Cold | None":
        """None where no model is configured. Nothing of the user's is touched: ledger and folders are its own."""
        try:
            model = find_model(load_settings())
        except (TidestoneError, OSError):
            return None
        folder.mkdir()
        (folder / "config.toml").touch()
        kept = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("TIDESTONE_", "INGESTION_"))
        }
        own = {
            "TIDESTONE_CONFIG": str(folder / "config.toml"),
            "TIDESTONE_EMBEDDING__MODEL_PATH": str(model.path.absolute()),
            "TIDESTONE_EMBEDDING__CHILDREN": "1",
            "TIDESTONE_INGESTION__WORKERS": "1",
            "TIDESTONE_INGESTION__BATCH_SIZE": "2",
            "TIDESTONE_INGESTION__MIN_FREE_BYTES": "0",
            "TIDESTONE_INDEX__MAX_LIVE_SEGMENTS": "3",
            "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
        }
        for number in range(_DOCUMENTS):
            _write_document(folder / "library", number)
        return cls(folder, {**kept, **own})

    def sample(self, chance: random.Random, kills: int) -> Iterator[tuple[str, bool, list[Fault]]]:
        """Kill that many runs, each at a point and passing of its own: (where, whether it died, what was then wrong)."""
        passed = self.folder / "passed"
        done = self._ingest("truth", f"record={passed}")
        if done.returncode:
            yield "nothing", False, [(MANUAL, _told(done))]
            return
        truth, points = self._chunks("truth"), passed.read_text().split()
        for _ in range(kills):
            point = chance.choice(sorted(set(points)))
            arm = f"{point}=kill@{chance.randint(1, points.count(point))}"
            killed = self._ingest("struck", arm).returncode == -signal.SIGKILL
            yield arm, killed, self._wrong_after_another_run(truth)
            shutil.rmtree(self.folder / "struck", ignore_errors=True)

    def _wrong_after_another_run(self, truth: Chunks) -> list[Fault]:
        done = self._ingest("struck")
        if done.returncode:
            return [(MANUAL, _told(done))]
        try:
            return list(_differences(self._chunks("struck"), truth))
        except Exception as error:  # whatever a reader meets, it cannot read
            return [(UNREADABLE, f"{type(error).__name__}: {error}")]

    def _ingest(self, data: str, arm: str = "") -> "subprocess.CompletedProcess[str]":
        """Give the command, and wait for its end."""
        where = {"TIDESTONE_SERVICE__DATA_DIR": str(self.folder / data), "TIDESTONE_FAILPOINTS": arm}
        command = [sys.executable, "-m", "service", "ingest", str(self.folder / "library"), "--json"]
        return _run(command, self.folder, {**self.environment, **where})

    def _chunks(self, data: str) -> Chunks:
        opened = Collection.open(self.folder / data / "collections" / "default")
        if problems := opened.verify():
            raise problems[0]
        rows = [((row.key, row.ordinal, row.text), row.vector) for row in opened.rows()]
        if len(dict(rows)) < len(rows):
            raise ValueError("a chunk is there twice")
        return dict(rows)


def _run(
    command: Sequence[str], folder: Path, environment: Mapping[str, str]
) -> "subprocess.CompletedProcess[str]":
    pipe = subprocess.PIPE
    return subprocess.run(
        command,
        cwd=folder,
        env=environment,
        stdout=pipe,
        stderr=pipe,
        text=True,
        timeout=MOST_SECONDS,
        check=False,
    )


def _told(done: "subprocess.CompletedProcess[str]") -> str:
    return f"tidestone ingest ended with {done.returncode}: {done.stderr[-500:]}"


def _write_document(library: Path, number: int) -> None:
    library.mkdir(exist_ok=True)
    place = _PLACES[number % len(_PLACES)]
    lines = [sentence.format(place=place, n=number + n) for n, sentence in enumerate(_SENTENCES * 40)]
    path = library / f"{number:02}.txt"
    path.write_text("\n\n".join(lines))
    os.utime(path, (1_600_000_000, 1_600_000_000))


def _differences(found: Chunks, truth: Chunks) -> Iterator[Fault]:
    yield from ((LOST, f"chunk {chunk[:2]}") for chunk in truth.keys() - found.keys())
    yield from ((DOUBLED, f"chunk {chunk[:2]}") for chunk in found.keys() - truth.keys())
    for chunk in truth.keys() & found.keys():
        one, other = found[chunk], truth[chunk]
        if one @ other < _LEAST_COSINE * np.linalg.norm(one) * np.linalg.norm(other):
            yield LOST, f"the vector of chunk {chunk[:2]}"
