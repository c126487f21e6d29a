"""The guard against mass deletion."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

MOST_DELETED = 0.2  # of the owner's documents


@dataclass
class Deletions:
    """What a run would delete, counted and summed up file by file."""

    documents: int = 0
    _sum: int = 0

    @classmethod
    def of(cls, said: Mapping[str, Any]) -> "Deletions":
        """What `view` has said."""
        return cls(said["count"], int(said["digest"], 16))

    def add(self, key: str, documents: int = 0) -> None:
        """A file that is gone, or has lost what was in it, with so many documents."""
        self.documents += documents
        self._sum += int.from_bytes(hashlib.sha256(key.encode()).digest()[:16])

    @property
    def digest(self) -> str:
        """One text that stands for the files' keys, whatever their order."""
        return f"{self._sum % (1 << 128):032x}"

    @property
    def view(self) -> dict[str, Any]:
        """The number of documents, and the digest that confirms their deletion."""
        return {"count": self.documents, "digest": self.digest}

    def __add__(self, other: "Deletions") -> "Deletions":
        return Deletions(self.documents + other.documents, self._sum + other._sum)

    def __bool__(self) -> bool:
        return self._sum > 0


class Weighed(NamedTuple):
    """What a job would take away, in two parts, since the second is known only when the files have been read."""

    owned: int  # documents of its source before it began
    listed: Deletions  # with files that are gone or empty
    doubted: Deletions  # with files that say nothing that can be read any more, or have lost records


class Verdict(NamedTuple):
    """Which part may be taken away."""

    listed: bool
    doubted: bool


def may_delete(mode: str, deletions: Deletions, owned: int, confirmed_digest: str) -> bool:
    """Whether a run may delete these of the `owned` documents: modes off, safe, confirmed."""
    if mode == "off":
        return False
    if mode == "confirmed" and deletions.digest == confirmed_digest:
        return True
    return deletions.documents <= MOST_DELETED * owned


def judge(mode: str, weighed: Weighed, confirmed_digest: str) -> Verdict:
    """Each part for itself, so that what is listed may go early; together they are no more than the guard lets pass.

    A digest confirms both parts, or what is listed alone, of which a plan knows.
    """
    owned, listed, doubted = weighed
    both = listed + doubted
    if mode == "confirmed" and both.digest == confirmed_digest:
        return Verdict(True, True)
    if not may_delete(mode, listed, owned, confirmed_digest):
        return Verdict(False, False)
    is_confirmed = mode == "confirmed" and listed.digest == confirmed_digest
    return Verdict(True, may_delete("safe", doubted if is_confirmed else both, owned, ""))


def is_doubtful(lost: int, known: int) -> bool:
    """Whether a file has lost so much of what was in it that the guard has a say."""
    return lost > MOST_DELETED * known
