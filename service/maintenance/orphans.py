"""Files in a collection's folder that nothing names, and that are nobody's work in hand."""

import re
import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Connection

from service.core.upkeep import Kind
from service.index import manifest, scratch
from service.index.collection_file import NAME as COLLECTION
from service.index.demolish import LOCKS
from service.ledger import leases, segments, tasks

PARTS = ("", "commits", "segments", scratch.FOLDER)  # quarantine says itself what it is
_KEPT = {COLLECTION, manifest.NAME, f"{manifest.NAME}.tmp", *LOCKS, f"{scratch.FOLDER}/{scratch.LOCK}"}
_TOKENS = re.compile(r"[-.]t(\d+)\.")

Found = Mapping[str, float]  # name -> when it was last written, Unix time


def files_in(folder: Path) -> Found:
    """The files that may be orphans. To be asked before `Named.of`: what is committed in between is named then."""
    found = {}
    for part in PARTS:
        for path in (folder / part).glob("*"):
            try:
                if path.is_file():
                    found[f"{part}/{path.name}" if part else path.name] = path.stat().st_mtime
            except FileNotFoundError:  # removed just now
                continue
    return found


@dataclass(frozen=True, slots=True)
class Named:
    """What the ledger says of a folder's files at one moment."""

    files: Collection[str]
    merges: Collection[str]  # made in the scratch folder, and waiting to be taken in
    token: int | None  # of whoever holds the lease; files that bear it are in its hands
    purging: bool  # then files of any age have just lost their names, and are removed in a moment

    @classmethod
    def of(cls, c: Connection, collection_id: str) -> "Named":
        """As the ledger has it."""
        lease = leases.read(c, collection_id)
        merge = tasks.ordered(c, collection_id, Kind.COMPACT)
        return cls(
            files=segments.known_files(c, collection_id) | segments.names_of_checkpoints(c, collection_id),
            merges=[] if merge is None else [merge.options["scratch"]],
            token=lease.token if lease.holder else None,
            purging=tasks.is_ordered(c, collection_id, Kind.PURGE),
        )


def orphans(folder: Path, found: Found, named: Named, grace_seconds: float) -> list[str]:
    """Those that nothing names, and that nobody has written within the grace."""
    if named.purging:
        return []
    now = time.time()
    return sorted(
        name
        for name, written in found.items()
        if not _is_named(name, named) and now - written >= grace_seconds and (folder / name).exists()
    )


def _is_named(name: str, named: Named) -> bool:
    if name in _KEPT or name in named.files or Path(name).stem in named.merges:
        return True
    written_by = [int(token) for token in _TOKENS.findall(name)]
    return named.token is not None and max(written_by, default=-1) >= named.token
