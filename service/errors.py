"""Errors, each named by what the caller does next."""

from collections.abc import Sequence
from pathlib import Path


class TidestoneError(Exception):
    """Base of every error that Tidestone raises on purpose; its text says what to do."""


class NotFound(TidestoneError):
    """The thing asked for does not exist: ask for another."""

    def __init__(self, kind: str, name: object) -> None:
        super().__init__(f"There is no {kind} {name!r}.")
        self.kind, self.name = kind, name


class BadRequest(TidestoneError):
    """The request cannot be carried out as it is: change it."""


class Conflict(TidestoneError):
    """Something that exists stands in the way: deal with that first."""

    def __init__(self, said: str, job: str = "") -> None:
        super().__init__(said)
        self.job = job  # that stands in the way, if it is one


class IllegalMove(TidestoneError):
    """The job, or item, does not allow this verb in its present state: pick one of `allowed`."""

    def __init__(
        self, verb: str, state: str, allowed: Sequence[str], what: str = "job", because: str = ""
    ) -> None:
        said = ", ".join(allowed) or "nothing"
        super().__init__(f"This {what} is {state} and cannot take {verb!r}{because}; allowed now: {said}.")
        self.verb, self.state, self.allowed = verb, state, tuple(allowed)


class Refused(TidestoneError):
    """Going on would risk data: a person has to choose one of the ways out that the text names."""


class SpaceMismatch(Refused):
    """The model's vectors mean something else than the collection's: use the old model or reindex."""


class Corrupt(TidestoneError):
    """A file's bytes are not what was recorded: quarantine and repair it."""

    def __init__(self, path: Path, expected: str, found: str) -> None:
        super().__init__(f"{path} is damaged: expected {expected}, found {found}. Run `tidestone verify`.")
        self.path, self.expected, self.found = path, expected, found


class SkipDocument(TidestoneError):
    """The document is left out by rule; that is a result, not a failure."""

    def __init__(self, reason: str, detail: str = "", sha256: str = "") -> None:
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason, self.detail = reason, _storable(detail)
        self.sha256 = sha256  # of the file's raw bytes, "" where it is not known


class DocumentFailed(TidestoneError):
    """The document cannot be processed: quarantine it until it, or the recipe, changes."""

    def __init__(self, reason: str, detail: str = "", sha256: str = "") -> None:
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason, self.detail = reason, _storable(detail)
        self.sha256 = sha256  # of the file's raw bytes, "" where it is not known


class NotReady(TidestoneError):
    """The installation lacks what the request needs: set that up, then ask the same again."""


class TryAgain(TidestoneError):
    """A passing condition: the same call may succeed later."""

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason, self.detail = reason, _storable(detail)


class Unavailable(TryAgain):
    """What every document needs cannot be had just now: hold the job, blame no document."""


class TooLong(DocumentFailed):
    """A text has more tokens than the model's window: split it."""

    def __init__(self, tokens: int, limit: int) -> None:
        super().__init__("too_long", f"{tokens} tokens, the model takes {limit}")
        self.tokens, self.limit = tokens, limit


class EmbedderDied(DocumentFailed):
    """A text, embedded alone, ended its child process every time."""

    def __init__(self, detail: str) -> None:
        super().__init__("embedder_died", detail)


class Stopped(TidestoneError):
    """The work was told to stop; nothing it had in hand counts."""


class LeaseLost(TidestoneError):
    """Another worker holds the collection now: drop everything in hand."""


def _storable(text: str) -> str:
    """Text that a database takes: a path in it may have bytes that are not UTF-8."""
    return text.encode(errors="backslashreplace").decode()
