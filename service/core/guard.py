"""The guard against mass deletion."""

import hashlib
from dataclasses import dataclass

MOST_DELETED = 0.2  # of the owner's documents


@dataclass
class Deletions:
    """What a run would delete, counted and summed up while its listing goes on."""

    documents: int = 0
    _sum: int = 0

    def add(self, key: str) -> None:
        """A file that is gone; how many documents it had is for the caller to add to `documents`."""
        self._sum += int.from_bytes(hashlib.sha256(key.encode()).digest()[:16])

    @property
    def digest(self) -> str:
        """One text that stands for the files' keys, whatever their order."""
        return f"{self._sum % (1 << 128):032x}"


def may_delete(mode: str, deletions: Deletions, owned: int, confirmed_digest: str) -> bool:
    """Whether a run may delete these of the `owned` documents: modes off, safe, confirmed."""
    if mode == "off":
        return False
    if mode == "confirmed" and deletions.digest == confirmed_digest:
        return True
    return deletions.documents <= MOST_DELETED * owned
