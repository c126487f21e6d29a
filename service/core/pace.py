"""How many items to take on at once, when to commit, and how long to back off."""

FULL_ROWS = 4096
FULL_BYTES = 64 << 20
FIRST_BACKOFF_SECONDS = 1.0
MOST_ATTEMPTS = 3  # of an item that was in flight each time its worker ended uncleanly
MOST_CHANGES = 1000  # of documents without vectors, in one commit: bounds its time and memory
LEAST_SETTLED = 20  # before a share of failures means anything


def batch_limit(batch_size: int, attempts: int) -> int:
    """Items taken on at once: half a batch after one unclean end, one alone after two."""
    return batch_size if attempts == 0 else max(1, batch_size // 2) if attempts == 1 else 1


def segment_is_full(rows: int, dimensions: int, full_rows: int = FULL_ROWS) -> bool:
    """Whether the rows in hand make a segment of their own."""
    return rows >= full_rows or rows * dimensions * 4 >= FULL_BYTES


def backoff_seconds(tries: int, jitter: float) -> float:
    """The wait before the next try; `jitter` in [0, 1) spreads those that failed together."""
    return float(FIRST_BACKOFF_SECONDS * 2**tries * (0.5 + jitter))


def too_many_failures(failed: int, settled: int, ratio: float) -> bool:
    """Whether going on is likely to be a waste."""
    return settled >= LEAST_SETTLED and failed > ratio * settled
