"""What a checkpoint costs in a large and in a small collection: `python -m tests.bench.checkpoint_cost`.

Time: of the whole commit, to the published manifest. Bytes: all that the process hands to the kernel meanwhile
(segment, commit record, manifest, SQLite's log, and what SQLite copies from the log into the database), from
/proc/self/io. The copying comes once in some commits, so bytes are compared by their means and times by their medians.
Merges are done between the measurements. The two kinds take turns: what one leaves to the disk to write would slow
down the other otherwise.
"""

import statistics
import tempfile
import time
from pathlib import Path

from tests.bench.measure import arguments, show, verdict
from tests.bench.synthetic import Grown, collection

_ROWS = 1_000  # of one commit
_SMALL = 2_000
_SAME_SMALL = 12  # commits to one small collection: enough that SQLite copies its log once, too


def cost(grown: Grown) -> tuple[float, float]:
    """Milliseconds and kilobytes of the next commit."""
    grown.merge()
    batch = grown.next_batch(_ROWS)
    written, began = _written_bytes(), time.perf_counter()
    grown.commit(batch)
    return (time.perf_counter() - began) * 1e3, (_written_bytes() - written) / 1e3


def main() -> None:
    given = arguments(__doc__, rounds=24, vectors=200_000)
    if given.quick:
        given.rounds, given.vectors = 8, 50_000
    with tempfile.TemporaryDirectory() as made:
        pairs = _measure(Path(made), given.vectors, given.rounds)
    print(f"{given.rounds} commits of {_ROWS} rows to each collection")
    _tell(pairs, given.vectors)


def _measure(
    folder: Path, vectors: int, rounds: int
) -> list[tuple[tuple[float, float], tuple[float, float]]]:
    pairs = []
    with collection(folder / "large", vectors, _ROWS) as large:
        for first in range(0, rounds, _SAME_SMALL):
            with collection(folder / f"small-{first}", _SMALL, _ROWS) as small:
                pairs += [(cost(large), cost(small)) for _ in range(min(_SAME_SMALL, rounds - first))]
    return pairs


def _tell(pairs: list[tuple[tuple[float, float], tuple[float, float]]], vectors: int) -> None:
    rows, figures = [], []
    for size, costs in zip((vectors, _SMALL), zip(*pairs, strict=True), strict=True):
        milliseconds, kilobytes = zip(*costs, strict=True)
        figures.append((statistics.median(milliseconds), statistics.mean(kilobytes)))
        rows.append((f"{size:,}", *figures[-1], max(milliseconds), max(kilobytes)))
    show(("vectors", "median ms", "mean KB", "most ms", "most KB"), rows)
    (large_ms, large_kb), (small_ms, small_kb) = figures
    verdict("time, large to small", large_ms / small_ms, 1.2)
    verdict("bytes, large to small", large_kb / small_kb, 1.2)


def _written_bytes() -> int:
    counters = dict(line.split(": ") for line in Path("/proc/self/io").read_text().splitlines())
    return int(counters["wchar"])


if __name__ == "__main__":
    main()
