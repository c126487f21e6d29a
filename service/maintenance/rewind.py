"""Unfinished jobs after a rollback: what they had done since is to be done again."""

from collections.abc import Collection, Iterable

from sqlalchemy import Connection

from service.core.keys import file_key
from service.ledger import documents, items, jobs
from service.ledger.database import AnyRow
from service.maintenance.history import Undone

REWOUND, BEGUN_ANEW = "rewound", "begun_anew"
_COUNTERS = ("done", "unchanged", "skipped", "failed", "known_failed", "deleted")
_FROM_NOTHING = dict.fromkeys((*_COUNTERS, "discovered"), 0)


def rewind(
    c: Connection, collection_id: str, undone: Undone, named: Collection[str], generation: int
) -> dict[str, str]:
    """Job -> what became of it; for every unfinished job of the collection, and for failed ones that are `named`.

    What others have committed for its source is undone too: then its listing is out of date, and it begins anew.
    """
    told = {}
    for job in jobs.unfinished_in(c, collection_id, named):
        if job.total is not None and _others_worked_on(job, undone):
            items.forget(c, job.id)
            nothing = {"total": None, "deletes_withheld": None, "folders_unreadable": None, "deletions": None}
            told[job.id] = BEGUN_ANEW
            jobs.note(c, job.id, "rolled_back", **_FROM_NOTHING, **nothing, **_held_at(job, generation))
        elif job.id in undone.files:
            told[job.id] = REWOUND
            jobs.count(c, job.id, "rolled_back", _taken_back(c, job, undone), **_held_at(job, generation))
    return told


def _others_worked_on(job: AnyRow, undone: Undone) -> bool:
    return any(by != job.id and root in (job.root, None) for by, root in undone.roots)


def _held_at(job: AnyRow, generation: int) -> dict[str, int]:
    return {} if job.paused_at_checkpoint is None else {"paused_at_checkpoint": generation}


def _taken_back(c: Connection, job: AnyRow, undone: Undone) -> dict[str, int]:
    """Items that the undone commits settled are pending again; by how much the job's counters change."""
    again = _newest_settled(items.every(c, job.id), undone.files[job.id])
    items.reopen(c, [item.id for item in again])
    counts = dict.fromkeys(_COUNTERS, 0)
    for item in again:
        if item.op != items.DELETE:
            counts["unchanged" if item.reason == "unchanged" else item.state] -= 1
    failed = _failed_before(c, job, [item for item in again if item.reason == "unchanged"])
    counts["unchanged"] += failed
    counts["known_failed"] -= failed
    # A document that was deleted is what it was before, by now; a file that only holds records was not counted.
    counts["deleted"] -= documents.count_among(c, job.collection_id, undone.removed[job.id])
    return counts


def _newest_settled(rows: Iterable[AnyRow], touched: Collection[int]) -> list[AnyRow]:
    """One item of each file: two that are open would make two versions of it."""
    newest: dict[int, AnyRow] = {}
    is_open: set[int] = set()
    for item in rows:
        if hash((item.folder, item.name)) not in touched:
            continue
        file = hash((item.op, item.folder, item.name))
        if item.state in ("pending", "in_flight"):
            is_open.add(file)
        elif item.reason != items.ASKED:  # somebody does without it
            newest[file] = item
    return [item for file, item in newest.items() if file not in is_open]


def _failed_before(c: Connection, job: AnyRow, found: Iterable[AnyRow]) -> int:
    """How many of these files, met unchanged, were known to fail."""
    keys = [file_key(job.root, item.folder, item.name) for item in found]
    return sum(row.state == "failed" for row in documents.of_files(c, job.collection_id, keys).values())
