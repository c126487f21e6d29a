"""How fast a job goes, and when it may end: from its last checkpoints, never from a guess."""

from collections.abc import Sequence
from datetime import datetime


def rate_per_second(points: Sequence[tuple[datetime, int]], started: datetime, now: datetime) -> float:
    """Items a second over the last checkpoints, (time, items settled) newest first.

    The time since the newest counts, so the rate of a job that gets nowhere falls.
    """
    if not points:
        return 0.0
    since, counted = (points[-1][0], points[:-1]) if len(points) > 1 else (started, points)
    seconds = (now - since).total_seconds()
    return sum(settled for _, settled in counted) / seconds if seconds > 0 else 0.0


def eta_seconds(total: int | None, settled: int, rate: float) -> float | None:
    """Seconds until all is settled at this rate; None where that is not known."""
    if total is None or rate <= 0:
        return None
    return max(total - settled, 0) / rate
