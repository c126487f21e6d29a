"""Segments, their spans, and the checkpoints that made them."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, func, insert, select, update

from service.ledger import collections
from service.ledger.database import AnyRow
from service.ledger.schema import checkpoints, garbage, segment_spans, segments

_RECORDS_AT_ONCE = 4  # each may have megabytes

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
        if name in {file["name"] for file in (row.faiss, row.chunks, row.live, row.codes) if file}:
            change(c, collection_id, row.segment_id, suspect=True)


def change(c: Connection, collection_id: str, segment_id: int, **values: Any) -> None:
    """Set columns of a segment."""
    mine = (segments.c.collection_id == collection_id) & (segments.c.segment_id == segment_id)
    c.execute(update(segments).where(mine).values(**values))


def live(c: Connection, collection_id: str) -> Sequence[AnyRow]:
    """Segments of the newest generation, oldest batch first, each with its span's live file."""
    return _spanned(c, collection_id, segment_spans.c.to_generation.is_(None))


def covering(c: Connection, collection_id: str, first_batch: int, last_batch: int) -> Sequence[AnyRow]:
    """The segments of any generation that may hold rows of these batches, newest first."""
    mine = (segments.c.collection_id == collection_id) & (segments.c.state == "committed")
    within = (segments.c.first_batch <= last_batch) & (segments.c.last_batch >= first_batch)
    return c.execute(select(segments).where(mine, within).order_by(segments.c.segment_id.desc())).all()


def of_generations_from(c: Connection, collection_id: str, generation: int) -> Sequence[AnyRow]:
    """Segments that became part of the collection, or changed in it, at this generation or later, newest first."""
    spans = segment_spans.c
    since = select(spans.segment_id).where(
        spans.collection_id == collection_id, spans.from_generation >= generation
    )
    mine = (segments.c.collection_id == collection_id) & segments.c.segment_id.in_(since)
    return c.execute(select(segments).where(mine).order_by(segments.c.segment_id.desc())).all()


def trust(c: Connection, collection_id: str, segment_ids: Sequence[int]) -> None:
    """All files of these segments have been hashed and are what they should be: nobody suspects them any more."""
    for segment_id in segment_ids:
        change(c, collection_id, segment_id, suspect=False)


def with_files(c: Connection, collection_id: str) -> Sequence[AnyRow]:
    """The segments of every generation, and those that are prepared for a coming one."""
    mine = (segments.c.collection_id == collection_id) & segments.c.state.in_(("prepared", "committed"))
    return c.execute(select(segments).where(mine).order_by(segments.c.segment_id)).all()


def spans_of(c: Connection, collection_id: str, segment_id: int) -> Sequence[AnyRow]:
    """What was said of a segment's rows, from generation to generation."""
    mine = (segment_spans.c.collection_id == collection_id) & (segment_spans.c.segment_id == segment_id)
    return c.execute(select(segment_spans).where(mine).order_by(segment_spans.c.from_generation)).all()


def change_span(
    c: Connection, collection_id: str, segment_id: int, from_generation: int, **values: Any
) -> None:
    """Set columns of one of them."""
    mine = (segment_spans.c.collection_id == collection_id) & (segment_spans.c.segment_id == segment_id)
    begins = segment_spans.c.from_generation == from_generation
    c.execute(update(segment_spans).where(mine, begins).values(**values))


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


def checkpoint(c: Connection, collection_id: str, generation: int) -> AnyRow | None:
    """One checkpoint."""
    return c.execute(select(checkpoints).where(_the(collection_id, generation))).first()


def pin(c: Connection, collection_id: str, generation: int, pinned: bool) -> None:
    """Say whether a checkpoint is to be kept whatever its age."""
    c.execute(update(checkpoints).where(_the(collection_id, generation)).values(pinned=pinned))


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


def jobs_since(c: Connection, collection_id: str, generation: int) -> set[str]:
    """The jobs that have committed something, merges aside, after a generation."""
    mine = (checkpoints.c.collection_id == collection_id) & (checkpoints.c.generation > generation)
    query = select(checkpoints.c.job_id).where(mine, checkpoints.c.kind != "merge").distinct()
    return {job_id for job_id in c.execute(query).scalars() if job_id}


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
    record: bytes = c.execute(
        select(checkpoints.c.record).where(_the(collection_id, generation))
    ).scalar_one()
    return record


def records(c: Connection, collection_id: str, newest: int | None = None) -> Iterator[bytes]:
    """The compressed records of commits that say something of documents, newest first, a few at a time."""
    mine = (checkpoints.c.collection_id == collection_id) & (checkpoints.c.kind != "merge")
    if newest is not None:
        mine &= checkpoints.c.generation <= newest
    query = select(checkpoints.c.record).where(mine).order_by(checkpoints.c.generation.desc())
    yield from c.execute(query).yield_per(_RECORDS_AT_ONCE).scalars()


def live_at(c: Connection, collection_id: str, generation: int) -> Sequence[AnyRow]:
    """Segments of a generation, oldest batch first, each with its span's live file."""
    after = segment_spans.c.to_generation.is_(None) | (segment_spans.c.to_generation > generation)
    return _spanned(c, collection_id, (segment_spans.c.from_generation <= generation) & after)


def past(c: Connection, collection_id: str) -> Sequence[AnyRow]:
    """What earlier generations that are kept say of segments: as `live`, once for each span that has ended."""
    return _spanned(c, collection_id, segment_spans.c.to_generation.is_not(None))


def needed_files(c: Connection, collection_id: str) -> set[str]:
    """Every file name that a generation of the collection uses, or a coming one is to use."""
    spanned = segments.join(segment_spans, _of_both)
    columns = (segments.c.faiss, segments.c.chunks, segments.c.codes, segment_spans.c.live)
    used = c.execute(
        select(*columns).select_from(spanned).where(segments.c.collection_id == collection_id)
    ).all()
    mine = (segments.c.collection_id == collection_id) & (segments.c.state == "prepared")
    coming = c.execute(select(segments.c.faiss, segments.c.chunks, segments.c.codes).where(mine)).all()
    return {file["name"] for row in (*used, *coming) for file in row if file}


def known_files(c: Connection, collection_id: str) -> set[str]:
    """Every file name that a generation of the collection uses, a coming one is to use, or that waits for its removal."""
    used = segments.c.state.in_(("prepared", "committed", "garbage"))
    mine = (segments.c.collection_id == collection_id) & used
    rows = c.execute(select(segments.c.faiss, segments.c.chunks, segments.c.codes).where(mine)).all()
    spans = c.execute(select(segment_spans.c.live).where(segment_spans.c.collection_id == collection_id))
    files = [file for row in rows for file in row] + list(spans.scalars())
    waiting = c.execute(select(garbage.c.file).where(garbage.c.collection_id == collection_id)).scalars()
    return {file["name"] for file in files if file} | set(waiting)


def _the(collection_id: str, generation: int) -> ColumnElement[bool]:
    return (checkpoints.c.collection_id == collection_id) & (checkpoints.c.generation == generation)


def _spanned(c: Connection, collection_id: str, which: ColumnElement[bool]) -> Sequence[AnyRow]:
    joined = segments.join(segment_spans, _of_both)
    said = [segment_spans.c[name] for name in ("from_generation", "to_generation", "live", "live_rows")]
    query = select(segments, *said).select_from(joined)
    mine = segments.c.collection_id == collection_id
    return c.execute(query.where(mine, which).order_by(segments.c.first_batch)).all()
