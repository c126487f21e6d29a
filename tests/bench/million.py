"""A million vectors of real text: what was written to get there, and how soon a killed service is ready again.

`python -m tests.bench.million [--folder PATH]`: a folder that is there already is only started again. Vectors are drawn, since
embedding a million chunks takes hours; texts, ledger, files, merges in the lease and outside it are real. Bytes are all that the
process hands to the kernel (/proc/self/io), the log of SQLite included, against the bytes of the live segments. The builder ends
by `kill -9`. Cold: after the kernel's caches were dropped, which needs root.
"""

import os
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from itertools import count, islice
from pathlib import Path
from threading import Event

from service.engine.holding import Holding
from service.index import merge_child
from service.ledger import collections, tasks
from service.maintenance import compact
from service.maintenance.merger import Merger
from service.maintenance.work import Work
from tests.bench.corpus import paragraphs
from tests.bench.measure import arguments, show, verdict
from tests.bench.synthetic import Grown, collection
from tests.model import default_model

ROWS = 1_000  # of one commit
CHUNKS = 5  # of one document
CHARACTERS = 900  # of one chunk
CORPUS = 3_000_000  # characters of real text that the chunks are cut from
COMMITS_PER_LOOK = 10  # between two looks for a large merge
PATIENCE_SECONDS = 120


class Texts:
    """Chunks of real text, no two alike: windows that begin somewhere else each time."""

    def __init__(self) -> None:
        self._text = "\n".join(paragraphs(CORPUS))
        self._starts = count()

    def next(self, number: int) -> list[str]:
        """The texts of one document's chunks."""
        starts = [(n * 7_919) % (len(self._text) - CHARACTERS) for n in islice(self._starts, number)]
        return [f"{start:x} {self._text[start : start + CHARACTERS]}" for start in starts]


def build(folder: Path, vectors: int) -> None:
    """Grow a collection batch by batch, tell what it cost, and die."""
    texts = Texts()
    with collection(folder, 0, ROWS) as grown:
        began, spent = written_bytes(), {"merges in the lease": 0, "large merges": 0}
        for number in range(vectors // ROWS):
            before = written_bytes()
            grown.merge()
            spent["merges in the lease"] += written_bytes() - before
            grown.commit(grown.next_batch(ROWS, CHUNKS, texts.next))
            if number % COMMITS_PER_LOOK == 0:
                before = written_bytes()
                merge_large(grown)
                spent["large merges"] += written_bytes() - before
        tell(grown, written_bytes() - began, spent)
        sys.stdout.flush()
        os.kill(os.getpid(), signal.SIGKILL)


def merge_large(grown: Grown) -> None:
    """Make and take in what is worth it, in this process, so that its bytes are counted too."""
    merger = Merger(grown.ledger, grown.settings, lambda order, _: merge_child.make(order))
    holding = Holding(grown.ledger, grown.settings, grown.lease, grown.state, grown.committer)
    while True:
        with grown.ledger.read() as c:
            row = collections.by_id(c, grown.state.id)
        task = merger.merge_one(row, Event())
        if task is None:
            return
        result = compact.run(Work(task, holding, lambda: None))
        with grown.ledger.write() as c:
            tasks.finish(c, task.id, result)


def tell(grown: Grown, total: int, spent: dict[str, int]) -> None:
    live = sum(segment.size_bytes for segment in grown.state.segments)
    segments = len(grown.state.segments)
    print(
        f"{grown.state.vectors:,} vectors, {grown.state.documents:,} documents, {segments} live segments, {live:,} bytes"
    )
    show(("of the live bytes", "times"), [(what, bytes / live) for what, bytes in spent.items()])
    verdict("all bytes written, to the live bytes", total / live, 4.5)


def seconds_to_ready(folder: Path, cold: bool) -> float:
    """From the start of `tidestone serve` to its first 200 from /readyz; then it is killed."""
    if cold:
        Path("/proc/sys/vm/drop_caches").write_text("3")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    settings = {
        "TIDESTONE_SERVICE__DATA_DIR": str(folder),
        "TIDESTONE_EMBEDDING__MODEL_PATH": str(default_model("f16")),
    }
    began = time.monotonic()
    process = subprocess.Popen(
        [sys.executable, "-m", "service", "serve", "--port", str(port)],
        env={**os.environ, **settings},
        stderr=subprocess.DEVNULL,
    )
    try:
        while not answers(f"http://127.0.0.1:{port}/readyz"):
            if time.monotonic() - began > PATIENCE_SECONDS:
                sys.exit("the service did not get ready")
            time.sleep(0.005)
        return time.monotonic() - began
    finally:
        process.kill()
        process.wait()


def answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5) as response:
            return bool(response.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def written_bytes() -> int:
    counters = dict(line.split(": ") for line in Path("/proc/self/io").read_text().splitlines())
    return int(counters["wchar"])


def main() -> None:
    given = arguments(__doc__, vectors=1_000_000, rounds=5, folder="", build="")
    if given.build:
        build(Path(given.build), given.vectors)
    if given.quick:
        given.vectors, given.rounds = 50_000, 2
    with tempfile.TemporaryDirectory() as made:
        folder = Path(given.folder or f"{made}/data")
        if not folder.exists():
            command = [sys.executable, "-m", "tests.bench.million", "--build", str(folder)]
            subprocess.run([*command, "--vectors", str(given.vectors)], check=False)
        may_drop = os.access("/proc/sys/vm/drop_caches", os.W_OK)
        warm = [seconds_to_ready(folder, cold=False) for _ in range(given.rounds)]
        verdict("seconds from start to ready, warm", statistics.median(warm), 1.5)
        if may_drop:
            cold = [seconds_to_ready(folder, cold=True) for _ in range(given.rounds)]
            verdict("seconds from start to ready, cold", statistics.median(cold), 3.0)


if __name__ == "__main__":
    main()
