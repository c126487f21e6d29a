"""Segments, their spans, and the checkpoints that made them."""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, func, insert, select, update

from service.ledger import collections
from service.ledger.database import AnyRow
from service.ledger.schema import checkpoints, segment_spans, segments

_of_both = (segments.c.collection_id == segment_spans.c.collection_id) & (
    segments.c.segment_id == segment_spans.c.segment_id
)


def reserve(c: Connection, collection_id: str, token: int) -> int:
    """Take a segment number; files that bear it and this token are ours to remove should we be fenced."""
    segment_id = collections.reserve(c, collection_id, "next_segment_id", 1)
    c.execute(
        insert(segments).values(
            collection_id=collection_id, segment_id=segment_id, token=token, state="reserved"
        )
    )
    return segment_id


def never_committed(c: Connection, collection_id: str, token: int) -> Sequence[AnyRow]:
    """Numbers reserved for tokens below `token`, which are fenced now, that came to nothing."""
    mine = (segments.c.collection_id == collection_id) & (segments.c.state == "reserved")
    return c.execute(select(segments).where(mine, segments.c.token < token)).all()


def commit(c: Connection, collection_id: str, segment_id: int, **values: Any) -> None:
    """A reserved segment is part of the collection from this transaction on."""
    change(c, collection_id, segment_id, state="committed", **values)


def suspect(c: Connection, collection_id: str, name: str) -> None:
    """A file was found damaged: the next holder of the lease looks into it first."""
    for row in live(c, collection_id):
        if name in {file["name"] for file in (row.faiss, row.chunks, row.live) if file}:
            change(c, collection_id, row.segment_id, suspect=True)


def change(c: Connection, collection_id: str, segment_id: int, **values: Any) -> None:
    """Set columns of a segment."""
    mine = (segments.c.collection_id == collection_id) & (segments.c.segment_id == segment_id)
    c.execute(update(segments).where(mine).values(**values))


def live(c: Connection, collection_id: str) -> Sequence[AnyRow]:
    """Segments of the newest generation, oldest batch first, each with its span's live file."""
    joined = segments.join(segment_spans, _of_both)
    query = select(
        segments, segment_spans.c.from_generation, segment_spans.c.live, segment_spans.c.live_rows
    ).select_from(joined)
    mine = (segments.c.collection_id == collection_id) & segment_spans.c.to_generation.is_(None)
    return c.execute(query.where(mine).order_by(segments.c.first_batch)).all()


def covering(c: Connection, collection_id: str, first_batch: int, last_batch: int) -> Sequence[AnyRow]:
    """The segments of any generation that may hold rows of these batches, newest first."""
    mine = (segments.c.collection_id == collection_id) & (segments.c.state == "committed")
    within = (segments.c.first_batch <= last_batch) & (segments.c.last_batch >= first_batch)
    return c.execute(select(segments).where(mine, within).order_by(segments.c.segment_id.desc())).all()


def open_span(
    c: Connection,
    collection_id: str,
    segment_id: int,
    generation: int,
    live_file: Mapping[str, Any] | None,
    live_rows: int,
) -> None:
    """From `generation` on these rows of the segment are alive."""
    c.execute(
        insert(segment_spans).values(
            collection_id=collection_id,
            segment_id=segment_id,
            from_generation=generation,
            live=dict(live_file) if live_file is not None else None,
            live_rows=live_rows,
        )
    )


def close_span(c: Connection, collection_id: str, segment_id: int, generation: int) -> None:
    """What was said of the segment's rows ends before `generation`."""
    mine = (segment_spans.c.collection_id == collection_id) & (segment_spans.c.segment_id == segment_id)
    c.execute(
        update(segment_spans)
        .where(mine, segment_spans.c.to_generation.is_(None))
        .values(to_generation=generation)
    )


def add_checkpoint(c: Connection, **values: Any) -> None:
    """Record a commit."""
    c.execute(insert(checkpoints).values(**values))


def newest_checkpoint(c: Connection, collection_id: str) -> AnyRow | None:
    """The checkpoint of the newest generation."""
    mine = checkpoints.c.collection_id == collection_id
    return c.execute(
        select(checkpoints).where(mine).order_by(checkpoints.c.generation.desc()).limit(1)
    ).first()


def list_checkpoints(
    c: Connection,
    collection_id: str,
    *,
    job_id: str | None = None,
    before: int | None = None,
    limit: int = 20,
) -> Sequence[AnyRow]:
    """Checkpoints, newest first; `before` is the generation of the last one of the page before."""
    query = select(checkpoints).where(checkpoints.c.collection_id == collection_id)
    if job_id:
        query = query.where(checkpoints.c.job_id == job_id)
    if before is not None:
        query = query.where(checkpoints.c.generation < before)
    return c.execute(query.order_by(checkpoints.c.generation.desc()).limit(limit)).all()


def settled_since(c: Connection, collection_id: str, job_id: str, at: str) -> int:
    """How many items the checkpoints of a job have settled from `at` (ISO text) on."""
    mine = (checkpoints.c.collection_id == collection_id) & (checkpoints.c.job_id == job_id)
    query = select(func.coalesce(func.sum(checkpoints.c.settled), 0)).where(mine, checkpoints.c.at >= at)
    return int(c.execute(query).scalar_one())


def count_checkpoints(c: Connection, collection_id: str) -> int:
    """How many checkpoints have been saved."""
    mine = checkpoints.c.collection_id == collection_id
    return c.execute(select(func.count()).select_from(checkpoints).where(mine)).scalar_one()


def names_of_checkpoints(c: Connection, collection_id: str) -> set[str]:
    """The file names of all commit records that count."""
    mine = checkpoints.c.collection_id == collection_id
    return set(c.execute(select(checkpoints.c.file).where(mine)).scalars())


def hashes_of_checkpoints(c: Connection, collection_id: str) -> Sequence[AnyRow]:
    """(generation, file, sha256) of all commit records that count, newest first."""
    mine = checkpoints.c.collection_id == collection_id
    query = select(checkpoints.c.generation, checkpoints.c.file, checkpoints.c.sha256)
    return c.execute(query.where(mine).order_by(checkpoints.c.generation.desc())).all()


def record_of(c: Connection, collection_id: str, generation: int) -> bytes:
    """The bytes of a commit record's file, compressed by zlib."""
    mine = (checkpoints.c.collection_id == collection_id) & (checkpoints.c.generation == generation)
    record: bytes = c.execute(select(checkpoints.c.record).where(mine)).scalar_one()
    return record


def known_files(c: Connection, collection_id: str) -> set[str]:
    """Every file name that some generation of the collection uses, or a coming one is to use."""
    used = segments.c.state.in_(("prepared", "committed"))
    mine = (segments.c.collection_id == collection_id) & used
    rows = c.execute(select(segments.c.faiss, segments.c.chunks).where(mine)).all()
    spans = c.execute(select(segment_spans.c.live).where(segment_spans.c.collection_id == collection_id))
    files = [file for row in rows for file in row] + list(spans.scalars())
    return {file["name"] for file in files if file}
