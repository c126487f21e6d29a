"""A job's states, and the one table of moves between them."""

from enum import StrEnum


class State(StrEnum):
    """Where a job is."""

    QUEUED = "queued"
    RUNNING = "running"
    PAUSING = "pausing"
    PAUSED = "paused"
    CANCELLING = "cancelling"
    CANCELLED = "cancelled"
    INTERRUPTED = "interrupted"
    SUCCEEDED = "succeeded"
    COMPLETED_WITH_ERRORS = "completed_with_errors"
    FAILED = "failed"


class Verb(StrEnum):
    """What a person asks for; stored as a wish that only another verb replaces."""

    PAUSE = "pause"
    RESUME = "resume"
    CANCEL = "cancel"
    RETRY = "retry"


class Fact(StrEnum):
    """What has happened to a job."""

    LEASED = "leased"  # its worker holds the collection's lease
    CHECKPOINTED = "checkpointed"  # all work in hand is committed or given back, as a wish demanded
    STOPPED = "stopped"  # SIGTERM, a crash found by a sweep, a lost lease
    WORKER_LOST = "worker_lost"  # a supervisor that lives on has seen its worker die
    HELD = "held"  # automation waits, with a reason: disk low, backoff
    AUTO_RESUMED = "auto_resumed"  # the service has started with `auto_resume`
    ALL_DONE = "all_done"
    SOME_QUARANTINED = "some_quarantined"
    GAVE_UP = "gave_up"  # too many failures, or a configuration that cannot work


MOVES: dict[tuple[State, Verb | Fact], State] = {
    (State.QUEUED, Fact.LEASED): State.RUNNING,
    (State.QUEUED, Verb.PAUSE): State.PAUSED,
    (State.QUEUED, Verb.CANCEL): State.CANCELLED,
    (State.RUNNING, Verb.PAUSE): State.PAUSING,
    (State.RUNNING, Verb.CANCEL): State.CANCELLING,
    (State.RUNNING, Fact.STOPPED): State.INTERRUPTED,
    (State.RUNNING, Fact.WORKER_LOST): State.QUEUED,
    (State.RUNNING, Fact.HELD): State.QUEUED,
    (State.RUNNING, Fact.ALL_DONE): State.SUCCEEDED,
    (State.RUNNING, Fact.SOME_QUARANTINED): State.COMPLETED_WITH_ERRORS,
    (State.RUNNING, Fact.GAVE_UP): State.FAILED,
    (State.PAUSING, Verb.RESUME): State.RUNNING,
    (State.PAUSING, Verb.CANCEL): State.CANCELLING,
    (State.PAUSING, Fact.CHECKPOINTED): State.PAUSED,
    (State.PAUSING, Fact.STOPPED): State.PAUSED,
    (State.PAUSING, Fact.WORKER_LOST): State.PAUSED,
    (State.PAUSING, Fact.HELD): State.PAUSED,
    (State.PAUSING, Fact.ALL_DONE): State.SUCCEEDED,
    (State.PAUSING, Fact.SOME_QUARANTINED): State.COMPLETED_WITH_ERRORS,
    (State.PAUSING, Fact.GAVE_UP): State.FAILED,
    (State.PAUSED, Verb.RESUME): State.QUEUED,
    (State.PAUSED, Verb.CANCEL): State.CANCELLED,
    (State.CANCELLING, Fact.LEASED): State.CANCELLING,
    (State.CANCELLING, Fact.CHECKPOINTED): State.CANCELLED,
    (State.CANCELLING, Fact.STOPPED): State.CANCELLING,
    (State.CANCELLING, Fact.WORKER_LOST): State.CANCELLING,
    (State.CANCELLING, Fact.HELD): State.CANCELLING,
    (State.CANCELLING, Fact.ALL_DONE): State.SUCCEEDED,
    (State.CANCELLING, Fact.SOME_QUARANTINED): State.COMPLETED_WITH_ERRORS,
    (State.CANCELLING, Fact.GAVE_UP): State.FAILED,
    (State.INTERRUPTED, Verb.RESUME): State.QUEUED,
    (State.INTERRUPTED, Verb.PAUSE): State.PAUSED,
    (State.INTERRUPTED, Verb.CANCEL): State.CANCELLED,
    (State.INTERRUPTED, Fact.AUTO_RESUMED): State.QUEUED,
    (State.FAILED, Verb.RESUME): State.QUEUED,
    (State.FAILED, Verb.CANCEL): State.CANCELLED,
    (State.COMPLETED_WITH_ERRORS, Verb.RETRY): State.QUEUED,
}

# A verb that is already on its way, or done, is not an error: repeating it changes nothing.
_ALREADY = {
    Verb.PAUSE: (State.PAUSING, State.PAUSED),
    Verb.RESUME: (State.QUEUED, State.RUNNING),
    Verb.CANCEL: (State.CANCELLING, State.CANCELLED),
    Verb.RETRY: (State.QUEUED, State.RUNNING),
}

# What a verb leaves behind as the job's desired state.
WISHES = {Verb.PAUSE: "paused", Verb.RESUME: "running", Verb.CANCEL: "cancelled", Verb.RETRY: "running"}

HELD_BY_A_WORKER = (State.RUNNING, State.PAUSING, State.CANCELLING)
FINISHED = (State.CANCELLED, State.SUCCEEDED, State.COMPLETED_WITH_ERRORS, State.FAILED)
UNFINISHED = tuple(state for state in State if state not in FINISHED)


def move(state: State, event: Verb | Fact) -> State | None:
    """The state after `event`, or None where the table has no such move."""
    return MOVES.get((state, event))


def is_repeat(state: State, verb: Verb) -> bool:
    """Whether the verb asks for what is already so or under way."""
    return state in _ALREADY[verb]


def allowed(state: State) -> list[str]:
    """The verbs that would change something now, in the order of the enum."""
    return [verb.value for verb in Verb if (state, verb) in MOVES]
