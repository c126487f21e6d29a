"""The guard at work: what a job would take away waits in the ledger until it has been weighed."""

from collections.abc import Iterable
from typing import Any

from sqlalchemy import Connection

from service.core.guard import Deletions, Verdict, Weighed, judge
from service.core.keys import file_key
from service.ledger import documents, items, jobs
from service.ledger.database import AnyRow
from service.ledger.items import DELETE, EMPTIED


def note_listed(c: Connection, job: AnyRow, listed: Deletions) -> dict[str, Any]:
    """The listing is complete; returns the job's new values.

    What a digest may yet confirm, together with what is found later, is not withheld before.
    """
    # Until now nobody else has added to them or taken away.
    owned = documents.count_of(c, job.source_id, job.options.get("folder", ""))
    weighed = Weighed(owned, listed, Deletions())
    changes = {"deletions": _as_json(weighed), "deletes_withheld": None}
    if _judged(job, weighed).listed:
        items.allow(c, job.id)
    elif listed and job.options["deletes"] != "confirmed":
        changes["deletes_withheld"] = listed.view
        changes["unchanged"] = job.unchanged + _withhold(c, job.id, EMPTIED, DELETE)
    return changes


def note_doubted(c: Connection, job_id: str, doubted: Iterable[tuple[AnyRow, int]]) -> None:
    """Items are given back, since so many documents would go with each: they wait until all others are done."""
    job = jobs.get(c, job_id)
    weighed = _weighed(c, job)
    for item, lost in doubted:
        items.doubt(c, item.id)
        weighed.doubted.add(file_key(job.root, item.folder, item.name), lost)
    jobs.note(c, job_id, deletions=_as_json(weighed))


def decide(c: Connection, job_id: str) -> None:
    """All other files are done: let pass, or withhold, what has waited. Once more changes nothing."""
    job = jobs.get(c, job_id)
    if job.deletions is None:  # an earlier release has listed its files, and decided
        return
    weighed = _weighed(c, job)
    may, withheld = _judged(job, weighed), Deletions()
    withheld += Deletions() if may.listed else weighed.listed
    withheld += Deletions() if may.doubted else weighed.doubted
    if not withheld:
        items.allow(c, job_id)
        return
    kept = _withhold(c, job_id, EMPTIED, *([] if may.listed else [DELETE]))
    if kept or job.deletes_withheld != withheld.view:
        jobs.note(c, job_id, deletes_withheld=withheld.view, unchanged=job.unchanged + kept)


def _judged(job: AnyRow, weighed: Weighed) -> Verdict:
    return judge(job.options["deletes"], weighed, job.options.get("deletes_digest", ""))


def _withhold(c: Connection, job_id: str, *ops: str) -> int:
    """Returns how many files that are still there stay as they are."""
    kept = items.open_count(c, job_id, EMPTIED)
    for op in ops:
        items.drop_pending(c, job_id, op)
    return kept


def _weighed(c: Connection, job: AnyRow) -> Weighed:
    said = job.deletions
    if said is None:
        owned = documents.count_of(c, job.source_id, job.options.get("folder", ""))
        return Weighed(owned, Deletions(), Deletions())
    return Weighed(said["owned"], Deletions.of(said["listed"]), Deletions.of(said["doubted"]))


def _as_json(weighed: Weighed) -> dict[str, Any]:
    return {"owned": weighed.owned, "listed": weighed.listed.view, "doubted": weighed.doubted.view}
