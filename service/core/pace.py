"""How many items to take on at once, when to commit, and how long to back off."""

FULL_ROWS = 4096
FULL_BYTES = 64 << 20
FIRST_BACKOFF_SECONDS = 1.0
ALONE_ATTEMPTS = (
    2  # of an item that was in flight each time its worker ended uncleanly: now it is tried alone
)
MOST_ATTEMPTS = 3  # now it is set aside
MOST_SPARED = 2  # ends of an item in flight alone that do not count, since nobody saw whose fault they were
MOST_CHANGES = 1000  # of documents without vectors, in one commit: bounds its time and memory
LEAST_SETTLED = 20  # before a share of failures means anything


def batch_limit(count: int, attempts: int) -> int:
    """How many of `count` items to take on at once: half of them after one unclean end, one alone after two."""
    if attempts >= ALONE_ATTEMPTS:
        return 1
    return max(1, count // 2) if attempts else count


def is_spared(attempts: int, spared: int, witnessed: bool) -> bool:
    """Whether the last unclean end does not count against an item.

    A worker that dies under a living supervisor dies of what it does. Where everything died, a person or the machine
    may have ended it, and again; but a document can do so too, so that not all such ends are forgiven.
    """
    return not witnessed and attempts > ALONE_ATTEMPTS and spared < MOST_SPARED


def segment_is_full(rows: int, dimensions: int, full_rows: int = FULL_ROWS) -> bool:
    """Whether the rows in hand make a segment of their own."""
    return rows >= full_rows or rows * dimensions * 4 >= FULL_BYTES


def backoff_seconds(tries: int, jitter: float) -> float:
    """The wait before the next try; `jitter` in [0, 1) spreads those that failed together."""
    return float(FIRST_BACKOFF_SECONDS * 2**tries * (0.5 + jitter))


def too_many_failures(failed: int, settled: int, ratio: float) -> bool:
    """Whether going on is likely to be a waste."""
    return settled >= LEAST_SETTLED and failed > ratio * settled
