"""On whose behalf a commit is made."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Owner:
    """The job, its source, and the recipe its text is made with."""

    job_id: str  # "" for maintenance
    service: str  # library, push, crawl, changes, maintenance: the label of its metrics
    source_id: int
    recipe: str


MAINTENANCE = Owner(job_id="", service="maintenance", source_id=0, recipe="")
