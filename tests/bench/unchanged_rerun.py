"""A job over files of which none has changed, beside a bare walk: `python -m tests.bench.unchanged_rerun`.

The worker, its listing and the ledger are real; nothing is parsed or embedded, so the preparer and the embedder are
fakes. The files are not ingested first (that measures something else): their documents are put into the ledger, with
their stamps, as an ingestion would have left them. The bare walk is `os.scandir` with `stat`, and nothing else.
"""

import hashlib
import os
import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event

from service.core.stamp import stamp_of
from service.engine.jobs import Jobs, Order
from service.engine.settings import EngineSettings
from service.engine.tools import Tools
from service.engine.worker import Worker
from service.ledger import documents, jobs
from service.ledger.database import Ledger, sqlite_url, store_identity, utc_now
from service.ledger.migrate import migrate
from service.sections import NO_DOCUMENTS
from service.selftest.fake_embedder import FAKE_SPACE, FakeEmbedder
from service.selftest.fake_preparer import FAKE_RECIPE, FakePreparer
from service.sources.library import Library
from service.sources.wanted import Wanted
from tests.bench.measure import arguments, median_ratio, show, verdict

_FILES_PER_FOLDER = 100
_ROWS_AT_ONCE = 5_000


class Rerun:
    """A library whose files are all in the ledger, and a worker."""

    def __init__(self, folder: Path, files: int, files_per_folder: int) -> None:
        self.library, self._data = folder / "library", folder / "data"
        self._data.mkdir()
        make_files(self.library, files, files_per_folder)
        settings = EngineSettings(self._data, min_free_bytes=0)
        self._ledger = Ledger.open(sqlite_url(self._data))
        migrate(self._ledger)
        self._jobs = Jobs(self._ledger, settings, lambda: (FAKE_SPACE, "f32"))
        with self._ledger.write() as c:
            store_id = store_identity(c).store_id
        tools = Tools(
            self._ledger,
            store_id,
            settings,
            FakePreparer(),
            FakeEmbedder(),
            lambda _: Library(self.library, Wanted((), NO_DOCUMENTS)),
        )
        self._worker = Worker(tools, "bench", Event())
        self._fill()

    def seconds(self, files: int) -> float:
        """One job, from its lease to its end."""
        job = self._jobs.create(Order("bench", self.library, "library"))
        began = time.perf_counter()
        self._worker.take_one()
        taken = time.perf_counter() - began
        seen = self._jobs.get(job["id"])
        if (seen["state"], seen["progress"]["unchanged"]) != ("succeeded", files):
            raise SystemExit(f"The job was meant to find nothing changed: {seen}")
        return taken

    def close(self) -> None:
        self._ledger.close()

    def _fill(self) -> None:
        job = self._jobs.create(Order("bench", self.library, "library"))
        with self._ledger.write() as c:
            row = jobs.get(c, job["id"])
            known: list[dict[str, object]] = []
            for number, (folder, entry) in enumerate(walk(self.library), 1):
                known.append(_document(row.collection_id, row.source_id, number, folder, entry))
                if len(known) == _ROWS_AT_ONCE:
                    documents.save(c, known, [])
                    known = []
            documents.save(c, known, [])
        self._worker.take_one()


def make_files(library: Path, files: int, files_per_folder: int) -> None:
    """Small files with a modification time that is old enough to be trusted."""
    for number in range(files):
        path = library / f"{number // files_per_folder:05}" / f"{number:06}.txt"
        if number % files_per_folder == 0:
            path.parent.mkdir(parents=True)
        path.write_text(f"The document with the number {number}.")
        os.utime(path, (1_600_000_000, 1_600_000_000))


def walk(root: Path) -> Iterator[tuple[str, os.DirEntry[str]]]:
    """(folder relative to the root, entry) of every file."""
    waiting = [""]
    while waiting:
        folder = waiting.pop()
        with os.scandir(root / folder) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    waiting.append(f"{folder}/{entry.name}" if folder else entry.name)
                else:
                    yield folder, entry


def bare_walk(root: Path) -> float:
    """Seconds of a walk that looks at every file's size and times."""
    began = time.perf_counter()
    for _, entry in walk(root):
        entry.stat()
    return time.perf_counter() - began


@contextmanager
def peak_growth() -> Iterator[list[int]]:
    """Afterwards the list holds by how many bytes resident memory exceeded, at its peak, what it was before."""
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
    before, grown = _status_bytes("VmRSS"), list[int]()
    yield grown
    grown.append(_status_bytes("VmHWM") - before)


def main() -> None:
    given = arguments(__doc__, files=100_000, rounds=7, files_per_folder=_FILES_PER_FOLDER)
    if given.quick:
        given.files, given.rounds = 20_000, 3
    with tempfile.TemporaryDirectory() as made:
        rerun = Rerun(Path(made), given.files, given.files_per_folder)
        rounds = [_round(rerun, given.files) for _ in range(given.rounds)]
        rerun.close()
    bare, job, grown = zip(*rounds, strict=True)
    print(f"{given.files:,} files, {given.files_per_folder} to a folder, {given.rounds} interleaved rounds")
    show(("bare walk, s", "job, s"), [(statistics.median(bare), statistics.median(job))])
    verdict("job to bare walk", median_ratio(job, bare), 2.0)
    verdict("extra memory at the peak, MB", max(grown) / 1e6, 20.0)


def _round(rerun: Rerun, files: int) -> tuple[float, float, int]:
    bare = bare_walk(rerun.library)
    with peak_growth() as grown:
        job = rerun.seconds(files)
    return bare, job, grown[0]


def _document(
    collection_id: str, source_id: int, number: int, folder: str, entry: os.DirEntry[str]
) -> dict[str, object]:
    digest = hashlib.sha256(entry.name.encode()).hexdigest()
    return {
        "collection_id": collection_id,
        "doc_id": number,
        "source_id": source_id,
        "key": f"library/{folder}/{entry.name}",
        "folder": folder,
        "name": entry.name,
        "state": "indexed",
        "stamp": stamp_of(entry.stat()),
        "file_sha256": digest,
        "content_sha256": digest,
        "recipe": FAKE_RECIPE.fingerprint,
        "version_id": number,
        "chunks": 1,
        "updated_at": utc_now(),
    }


def _status_bytes(name: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{name}:"))


if __name__ == "__main__":
    main()
