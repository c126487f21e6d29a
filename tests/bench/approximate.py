"""Approximate against exact search, on real embeddings of real sentences: `python -m tests.bench.approximate`.

Segments of 131,072 rows with their codes, as large merges leave them, searched by the reader's own code; exact search is the same
snapshot without its codes. Questions are sentences that are not in the collection. The two take turns of twenty questions, and
ratios are of medians. Deleted: at random, and in clusters of neighbouring rows. Filter: about 1 % of the documents; so few are
compared exactly by both, which is why its speed is judged against exact search of everything: what one pays who filters afterwards.
Embeddings are kept in build/ from one run to the next.
"""

import hashlib
import io
import random
import statistics
import sys
import sysconfig
import tempfile
import time
import tokenize
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from service.embedders.gguf_facts import read_space
from service.embedders.machine import choose_weights
from service.embedders.pool import LlamaPool
from service.index import approximate, manifest
from service.index.files import StoredFile, make_folder
from service.index.live import write_live
from service.index.records import (
    ChunkRecord,
    SegmentContents,
    SegmentId,
    TextRecord,
    VersionRecord,
    live_name,
)
from service.index.segment import write_segment
from service.reader import Collection, Snapshot
from tests.bench.measure import arguments, show, verdict
from tests.model import default_model

SEGMENT_ROWS = 131_072
QUESTIONS, TURN = 200, 20
K = 10
CLUSTER_ROWS = 512  # of neighbouring rows that are deleted together
BUILD = Path(__file__).parent.parent.parent / "build"
SPACE = {"normalised": True, "query_prefix": "", "model": "bench", "pooling": "mean"}

Vectors = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]


def sentences(count: int) -> list[str]:
    """Distinct sentences from the documentation and comments of everything that is installed beside this Python."""
    found: dict[str, None] = {}
    for root in (sysconfig.get_path("purelib"), sysconfig.get_path("stdlib")):
        for path in sorted(Path(root).rglob("*.py")):
            for text in _said_in(path):
                for line in text.replace(". ", ".\n").splitlines():
                    line = " ".join(line.split())
                    if 30 <= len(line) <= 240 and line.count(" ") >= 4:
                        found.setdefault(line)
            if len(found) >= count:
                return random.Random(7).sample(list(found)[:count], count)
    sys.exit(f"There are {len(found)} sentences here, {count} were asked for: --rows takes fewer.")


def _said_in(path: Path) -> Iterator[str]:
    try:
        for token in tokenize.generate_tokens(io.StringIO(path.read_text()).readline):
            if token.type in (tokenize.COMMENT, tokenize.STRING):
                yield token.string.strip("\"'#rbfuRBFU \n")
    except (tokenize.TokenError, SyntaxError, UnicodeDecodeError, ValueError):
        return


def embeddings(texts: Sequence[str]) -> Vectors:
    """One row per text, from the cache where an earlier run has made them."""
    name = hashlib.sha256("\n".join(texts).encode()).hexdigest()[:12]
    BUILD.mkdir(exist_ok=True)
    path, model = BUILD / f"sentences.{name}.npy", default_model(choose_weights())
    if path.exists():
        loaded: Vectors = np.load(path)
        return loaded
    space = read_space(model)
    pool, began = LlamaPool(model, space), time.monotonic()
    try:
        rows = []
        for first in range(0, len(texts), 2_000):
            futures = [pool.submit(text) for text in texts[first : first + 2_000]]
            rows += [future.result() for future in futures]
            rate = len(rows) / (time.monotonic() - began)
            print(
                f"\rembedded {len(rows):,} of {len(texts):,}, {rate:.0f}/s ",
                end="",
                file=sys.stderr,
                flush=True,
            )
    finally:
        pool.close()
    print(file=sys.stderr)
    made = np.stack(rows).astype(np.float32)
    np.save(path, made)
    return made


def write_collection(root: Path, vectors: Vectors, alive: Mask) -> None:
    """A published collection of large segments; every row is a document, of one in a hundred groups."""
    for folder in (root, root / "segments"):
        make_folder(folder)
    entries = []
    for number, first in enumerate(range(0, len(vectors), SEGMENT_ROWS), 1):
        rows, mask = vectors[first : first + SEGMENT_ROWS], alive[first : first + SEGMENT_ROWS]
        name = SegmentId(number, 1)
        files = write_segment(root, name, "bench", "cosine", _contents(rows, first))
        codes = approximate.build(root, files.vectors, name.codes, "cosine", vectors.shape[1])
        live = None if mask.all() else write_live(root, live_name(number, 1, 1), mask)
        entries.append(_entry(number, len(rows), (files.vectors, files.chunks, live, codes)))
    manifest.publish(root, _manifest(entries, vectors.shape[1], int(alive.sum())), 1.0)


def _contents(rows: Vectors, first: int) -> SegmentContents:
    numbers = range(first, first + len(rows))
    versions = [VersionRecord(n + 1, n + 1, f"d/{n}", "", {"group": str(n % 100)}, "") for n in numbers]
    texts = [TextRecord(n + 1, 0, str(n)) for n in numbers]
    chunks = [ChunkRecord(n + 1, 0, 0, len(str(n)), 1) for n in numbers]
    return SegmentContents(rows, chunks, versions, texts)


def _entry(
    number: int, rows: int, files: tuple[StoredFile, StoredFile, StoredFile | None, StoredFile | None]
) -> manifest.SegmentEntry:
    vectors, chunks, live, codes = files
    return manifest.SegmentEntry(number, number, number, rows, vectors, chunks, live, codes)


def _manifest(entries: Sequence[manifest.SegmentEntry], dimensions: int, rows: int) -> manifest.Manifest:
    return manifest.Manifest(
        collection="bench", collection_id="bench", generation=1, space=SPACE, dimensions=dimensions, metric="cosine",
        segments=list(entries), checkpoints=[], documents=rows, vectors=rows, last_saved="",
    )  # fmt: skip


def without_codes(snapshot: Snapshot) -> Snapshot:
    """The same rows, searched exactly."""
    for segment in snapshot.segments.values():
        segment._codes = None
    return snapshot


class Side:
    """One way to search, what it found and how long each question took it, in ms."""

    def __init__(self, snapshot: Snapshot, where: Mapping[str, str] | None) -> None:
        self.snapshot, self.where = snapshot, where
        self.answers: list[set[str]] = []
        self.took: list[float] = []

    def ask(self, questions: Vectors) -> None:
        for vector in questions:
            began = time.perf_counter()
            hits = self.snapshot.search(vector, K, self.where)
            self.took.append((time.perf_counter() - began) * 1e3)
            self.answers.append({hit.key for hit in hits})


def measure(root: Path, questions: Vectors, where: Mapping[str, str] | None) -> tuple[float, list[float]]:
    """Recall, and median milliseconds: approximate, exact, and exact without the filter if there is one."""
    fast, exact = Collection.open(root).snapshot(), without_codes(Collection.open(root).snapshot())
    sides = [Side(fast, where), Side(exact, where)] + ([Side(exact, None)] if where else [])
    for first in range(0, len(questions), TURN):
        for side in sides:
            side.ask(questions[first : first + TURN])
    shares = [len(a & b) / max(len(b), 1) for a, b in zip(sides[0].answers, sides[1].answers, strict=True)]
    return statistics.mean(shares), [statistics.median(side.took) for side in sides]


def main() -> None:
    given = arguments(__doc__, rows=2 * SEGMENT_ROWS)
    if given.quick:
        given.rows = SEGMENT_ROWS // 2
    every = embeddings(sentences(given.rows + QUESTIONS))
    vectors, questions = every[: given.rows], every[given.rows :]
    draw = np.random.default_rng(7)
    clusters = np.repeat(draw.random(-(-given.rows // CLUSTER_ROWS)) >= 0.2, CLUSTER_ROWS)[: given.rows]
    cases: dict[str, tuple[Mask, Mapping[str, str] | None]] = {
        "nothing deleted": (np.ones(given.rows, np.bool_), None),
        "20 % deleted at random": (draw.random(given.rows) >= 0.2, None),
        "20 % deleted in clusters": (clusters, None),
        "1 % filter": (np.ones(given.rows, np.bool_), {"group": "7"}),
    }
    rows: list[Sequence[str | float]] = []
    judge: list[Callable[[], None]] = []
    for name, (alive, where) in cases.items():
        with tempfile.TemporaryDirectory() as made:
            write_collection(Path(made) / "c", vectors, alive)
            recall, (quick, alike, *unfiltered) = measure(Path(made) / "c", questions, where)
        everything = unfiltered[0] if where else alike
        rows.append((name, recall, everything / quick, quick, alike, everything))
        judge.append(lambda n=name, r=recall: verdict(f"recall@{K}, {n}", r, 0.97, at_least=True))  # type: ignore[misc]
        judge.append(
            lambda n=name, t=everything / quick: verdict(f"times as fast, {n}", t, 10, at_least=True)  # type: ignore[misc]
        )
    print(f"{given.rows:,} real embeddings, {QUESTIONS} questions")
    show(("", "recall@10", "times as fast", "ms", "ms exact", "ms exact, no filter"), rows)
    for say in judge:
        say()


if __name__ == "__main__":
    main()
