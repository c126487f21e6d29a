"""The kinds of maintenance task, their states, and which of them may be done beside a job."""

from enum import StrEnum


class Kind(StrEnum):
    """What a task does to its collection."""

    REPAIR = "repair"  # take damaged segments out of use, bring files and ledger into agreement
    ROLLBACK = "rollback"  # make a collection what it was at an earlier generation
    WITHDRAW = "withdraw"  # take a document out for good
    PURGE = "purge"  # and remove its text and vectors from every generation
    RESTORE_DOCUMENT = "restore_document"  # let a withdrawn document in again
    COLLECT = "collect"  # remove what no kept generation needs
    TIDY = "tidy"  # remove what a cancelled job had prepared
    DROP = "drop"  # delete the whole collection
    COMPACT = "compact"  # take in a large merge that was made outside the lease


class TaskState(StrEnum):
    """Where a task is."""

    QUEUED = "queued"
    RUNNING = "running"  # begun; by a holder whose lease may be gone, and then begun anew by the next one
    DONE = "done"
    FAILED = "failed"


OPEN = (TaskState.QUEUED, TaskState.RUNNING)

# Done by the lease's holder between two commits of a job. The others wait until no job holds the collection.
BESIDE_A_JOB: frozenset[Kind] = frozenset({Kind.COLLECT, Kind.COMPACT, Kind.WITHDRAW, Kind.RESTORE_DOCUMENT})
