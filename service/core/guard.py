"""The guard against mass deletion."""

import hashlib
from collections.abc import Iterable

MOST_DELETED = 0.2  # of the owner's documents


def digest_of(keys: Iterable[str]) -> str:
    """One text that stands for a set of keys, whatever their order."""
    total = 0
    for key in keys:
        total += int.from_bytes(hashlib.sha256(key.encode()).digest()[:16])
    return f"{total % (1 << 128):032x}"


def may_delete(mode: str, deletes: int, owned: int, digest: str, confirmed_digest: str) -> bool:
    """Whether a run may delete `deletes` of the `owned` documents: modes off, safe, confirmed."""
    if mode == "off":
        return False
    if mode == "confirmed" and digest == confirmed_digest:
        return True
    return deletes <= MOST_DELETED * owned
