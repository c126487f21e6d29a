"""A copy of the embedded ledger while it is in use, and what such a copy says of the collections' files."""

import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, create_engine, select, update

from service.errors import Refused, TryAgain
from service.ledger.damage import is_damaged
from service.ledger.database import Ledger
from service.ledger.schema import checkpoints, collections, leases, segment_spans, segments
from service.ledger.translate import translated

_STAYS = collections.c.state == "active"
RAISED_TOKENS = 1_000  # so that no worker of the life before can be taken for a holder


@dataclass(frozen=True, slots=True)
class Wanted:
    """A file that the ledger names; `needed`: the newest generation cannot do without it."""

    path: str  # relative to the data folder
    sha256: str
    needed: bool


def copy_ledger(ledger: Ledger, to: Path) -> None:
    """Write one state of the ledger to a new file, not synced, while others go on writing. Raises Refused, TryAgain."""
    if ledger.file is None:
        raise Refused("This ledger is not SQLite: back it up with its own tools, for example pg_dump.")
    with (
        translated(ledger.file),
        closing(sqlite3.connect(ledger.file)) as source,
        closing(sqlite3.connect(to)) as target,
    ):
        target.execute("PRAGMA synchronous = OFF")  # nothing counts before all of it is synced
        # At once: in steps it would begin anew after every write of another process, and never end beside a busy one.
        source.backup(target)
        target.execute("PRAGMA journal_mode = DELETE")  # one file, whole without a log beside it
    if not is_damaged(to):
        return
    if not is_damaged(ledger.file):
        raise TryAgain("io_error", f"{to} is not what was written there: see to the disk that it is on")
    raise Refused(
        f"The ledger is damaged, and a copy of it would be none: stop every Tidestone on {ledger.file.parent} and run "
        "`tidestone repair --rebuild`, or restore an earlier backup."
    )


@contextmanager
def looking_into(copy: Path) -> Iterator[Connection]:
    """A ledger's copy, read as it is: nothing is written beside it. Raises TryAgain."""
    engine = create_engine(f"sqlite:///file:{copy.absolute()}?mode=ro&immutable=1&uri=true")
    try:
        with translated(copy), engine.connect() as connection:
            yield connection
    finally:
        engine.dispose()


@contextmanager
def changing(copy: Path) -> Iterator[Connection]:
    """A ledger's copy that nobody uses yet; changes are in the file at the end of the block, and not synced."""
    engine = create_engine(f"sqlite:///{copy.absolute()}")
    try:
        with translated(copy), engine.begin() as connection:
            connection.exec_driver_sql("PRAGMA synchronous = OFF")
            yield connection
    finally:
        engine.dispose()


def wanted_files(c: Connection) -> Iterator[Wanted]:
    """Every file that some generation of some collection has, by collection. `collection.json` is not in the ledger.

    Those of collections that are being deleted leave just now, in no order that a copy could keep up with.
    """
    for row in c.execute(select(collections.c.id, collections.c.name).where(_STAYS)).all():
        folder = f"collections/{row.name}"
        for file, is_live in (*_of_segments(c, row.id), *_of_spans(c, row.id)):
            yield Wanted(f"{folder}/{file['name']}", file["sha256"], is_live)
        of_it = checkpoints.c.collection_id == row.id
        for point in c.execute(select(checkpoints.c.file, checkpoints.c.sha256).where(of_it)):
            yield Wanted(f"{folder}/{point.file}", point.sha256, needed=False)  # the ledger has its bytes


def names(c: Connection) -> list[str]:
    """The names of the collections that are not being deleted, in order."""
    return list(c.execute(select(collections.c.name).where(_STAYS).order_by(collections.c.name)).scalars())


def fence(c: Connection) -> None:
    """Free every lease under a token that nobody of the life before can have; nothing is published, and is to be."""
    c.execute(update(collections).values(published_generation=0))
    raised = leases.c.token + RAISED_TOKENS
    c.execute(update(leases).values(token=raised, holder="", job_id="", lock_host=""))


def generations(c: Connection) -> dict[str, int]:
    """Collection -> newest generation, of those that are not being deleted."""
    found = c.execute(select(collections.c.name, collections.c.generation).where(_STAYS))
    return {row.name: row.generation for row in found}


def _of_segments(c: Connection, collection_id: str) -> Iterator[tuple[Mapping[str, Any], bool]]:
    """(File, whether the newest generation needs it) of every segment that has files."""
    spans = segment_spans.c.collection_id == collection_id
    opened = select(segment_spans.c.segment_id).where(spans, segment_spans.c.to_generation.is_(None))
    live = set(c.execute(opened).scalars())
    for segment in c.execute(select(segments).where(segments.c.collection_id == collection_id)):
        for file in (segment.faiss, segment.chunks, segment.codes):
            if file:
                yield file, segment.segment_id in live


def _of_spans(c: Connection, collection_id: str) -> Iterator[tuple[Mapping[str, Any], bool]]:
    """(Live file, whether it counts now)."""
    mine = segment_spans.c.collection_id == collection_id
    for span in c.execute(select(segment_spans.c.live, segment_spans.c.to_generation).where(mine)):
        if span.live:
            yield span.live, span.to_generation is None
