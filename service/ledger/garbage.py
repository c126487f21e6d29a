"""Files that nothing needs any more, from the moment they are seen so until they are removed."""

from collections.abc import Collection, Sequence

from sqlalchemy import ColumnElement, Connection, bindparam, delete, exists, insert, select, update

from service.ledger.database import AnyRow, utc_now
from service.ledger.schema import garbage, segment_spans, segments

Seen = tuple[str, float]  # a machine's boot, and its monotonic clock: a clock that is set says nothing


def note(c: Connection, collection_id: str, files: Collection[str], seen: Seen) -> None:
    """These are unneeded, as seen just now."""
    values = {"unneeded_since": utc_now(), "boot": seen[0], "boot_seconds": seen[1]}
    if files:
        c.execute(insert(garbage), [{"collection_id": collection_id, "file": f, **values} for f in files])


def note_segments(c: Connection, collection_id: str, seen: Seen) -> int:
    """Segments that no span names are garbage; returns how many there are anew."""
    spanned = exists().where(
        segment_spans.c.collection_id == segments.c.collection_id,
        segment_spans.c.segment_id == segments.c.segment_id,
    )
    mine = (segments.c.collection_id == collection_id) & (segments.c.state == "committed") & ~spanned
    found = c.execute(select(segments).where(mine)).all()
    files = [file["name"] for row in found for file in (row.faiss, row.chunks, row.codes) if file]
    c.execute(update(segments).where(mine).values(state="garbage"))
    note(c, collection_id, files, seen)
    return len(found)


def listing(c: Connection, collection_id: str) -> Sequence[AnyRow]:
    """What waits for its removal."""
    return c.execute(select(garbage).where(garbage.c.collection_id == collection_id)).all()


def see_again(c: Connection, collection_id: str, seen: Seen) -> None:
    """What another boot, or machine, has seen waits anew from now on."""
    elsewhere = (garbage.c.collection_id == collection_id) & (garbage.c.boot != seen[0])
    c.execute(update(garbage).where(elsewhere).values(boot=seen[0], boot_seconds=seen[1]))


def forget(c: Connection, collection_id: str, files: Sequence[str]) -> None:
    """These are removed; with its last file a segment is forgotten too."""
    if files:
        mine = _mine(collection_id) & (garbage.c.file == bindparam("the_file"))
        c.execute(delete(garbage).where(mine), [{"the_file": file} for file in files])
    waiting = (segments.c.collection_id == collection_id) & (segments.c.state == "garbage")
    for row in c.execute(select(segments).where(waiting)).all():
        names = {file["name"] for file in (row.faiss, row.chunks, row.codes) if file}
        left = select(garbage.c.file).where(_mine(collection_id), garbage.c.file.in_(names)).limit(1)
        if c.execute(left).first() is None:
            c.execute(delete(segments).where(waiting, segments.c.segment_id == row.segment_id))


def _mine(collection_id: str) -> ColumnElement[bool]:
    return garbage.c.collection_id == collection_id
