"""On whose behalf a commit is made."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Owner:
    """The job, its source, and the recipe its text is made with."""

    job_id: str
    service: str  # library, push, crawl, changes: the label of its metrics
    source_id: int
    recipe: str
