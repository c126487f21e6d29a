"""What a job has prepared in another space: segments that no generation has yet, and the versions in them."""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, delete, func, insert, select, update

from service.core.job import State
from service.core.upkeep import Kind
from service.ledger import collections, tasks
from service.ledger.database import AnyRow
from service.ledger.schema import documents, jobs, prepared, segments, version_spans, versions

_ENDED = (State.CANCELLED, State.SUCCEEDED, State.COMPLETED_WITH_ERRORS)

_what_is_prepared = [
    column for column in prepared.c if column.name not in ("job_id", "version_id", "collection_id")
]


def missing(c: Connection, collection_id: str, job_id: str, after: int, limit: int) -> Sequence[AnyRow]:
    """Visible versions above `after` that are not wholly prepared, ascending, with how far they are."""
    live = (version_spans.c.collection_id == collection_id) & version_spans.c.to_generation.is_(None)
    mine = (prepared.c.job_id == job_id) & (prepared.c.version_id == version_spans.c.version_id)
    columns = [prepared.c[name] for name in ("position", "recut_id", "first_segment", "last_segment")]
    written = func.coalesce(prepared.c.chunks, 0).label("written")
    number = version_spans.c.version_id
    todo = (number > after) & (prepared.c.done.is_(None) | ~prepared.c.done)
    page = select(number, *columns, written).select_from(version_spans.outerjoin(prepared, mine))
    # A page first, then its versions: joined at once, SQLite would go through all versions for each.
    found = page.where(live, todo).order_by(number).limit(limit).subquery()
    rest = [column for column in found.c if column.name != "version_id"]
    same = (versions.c.collection_id == collection_id) & (versions.c.version_id == found.c.version_id)
    query = select(versions, *rest).select_from(found.join(versions, same))
    return c.execute(query.order_by(versions.c.version_id)).all()


def count_done(c: Connection, collection_id: str, job_id: str) -> tuple[int, int]:
    """(Visible versions that are prepared, those of them that cannot be embedded)."""
    visible = (version_spans.c.collection_id == collection_id) & version_spans.c.to_generation.is_(None)
    same = prepared.c.version_id == version_spans.c.version_id
    query = select(func.count(), func.count(prepared.c.reason)).select_from(
        version_spans.join(prepared, same)
    )
    done, failed = c.execute(query.where(visible, prepared.c.job_id == job_id, prepared.c.done)).one()
    return done - failed, failed


def visible(c: Connection, collection_id: str, job_id: str) -> Sequence[AnyRow]:
    """What is prepared of the versions that are visible now, ascending."""
    now = (version_spans.c.collection_id == collection_id) & version_spans.c.to_generation.is_(None)
    same = prepared.c.version_id == version_spans.c.version_id
    query = select(prepared.c.version_id, *_what_is_prepared).select_from(version_spans.join(prepared, same))
    query = query.where(now, prepared.c.job_id == job_id)
    return c.execute(query.order_by(prepared.c.version_id)).all()


def document_of(c: Connection, collection_id: str, version_id: int) -> tuple[AnyRow, AnyRow]:
    """(The version, its document)."""
    mine = (versions.c.collection_id == collection_id) & (versions.c.version_id == version_id)
    version = c.execute(select(versions).where(mine)).one()
    owner = (documents.c.collection_id == collection_id) & (documents.c.doc_id == version.doc_id)
    return version, c.execute(select(documents).where(owner)).one()


def put(c: Connection, collection_id: str, job_id: str, rows: Sequence[Mapping[str, Any]]) -> None:
    """How far versions are now; every mapping has the same keys, `version_id` among them."""
    if rows:
        numbers = [row["version_id"] for row in rows]
        c.execute(delete(prepared).where(prepared.c.job_id == job_id, prepared.c.version_id.in_(numbers)))
        c.execute(
            insert(prepared), [{**row, "collection_id": collection_id, "job_id": job_id} for row in rows]
        )


def add_segment(c: Connection, collection_id: str, job_id: str, segment_id: int, **values: Any) -> None:
    """A reserved segment's files are there, for a generation to come."""
    mine = (segments.c.collection_id == collection_id) & (segments.c.segment_id == segment_id)
    c.execute(update(segments).where(mine).values(state="prepared", prepared_by=job_id, **values))


def segments_of(c: Connection, collection_id: str, job_id: str) -> Sequence[AnyRow]:
    """The segments that the job has prepared, oldest first."""
    mine = (segments.c.collection_id == collection_id) & (segments.c.prepared_by == job_id)
    query = select(segments).where(mine, segments.c.state == "prepared")
    return c.execute(query.order_by(segments.c.segment_id)).all()


def size_of(c: Connection, collection_id: str) -> int:
    """Bytes of all files that are prepared for coming generations."""
    mine = (segments.c.collection_id == collection_id) & (segments.c.state == "prepared")
    return sum(
        file["bytes"]
        for row in c.execute(select(segments.c.faiss, segments.c.chunks).where(mine))
        for file in row
    )


def give_up_segment(c: Connection, collection_id: str, job_id: str, segment_id: int) -> None:
    """A prepared segment is of no use: what it held of versions is to be prepared again, in segments to come."""
    within = (prepared.c.first_segment <= segment_id) & (prepared.c.last_segment >= segment_id)
    c.execute(delete(prepared).where(prepared.c.job_id == job_id, within))
    mine = (segments.c.collection_id == collection_id) & (segments.c.segment_id == segment_id)
    _release(c, mine)


def drop(c: Connection, collection_id: str, job_id: str) -> None:
    """What the job has prepared, and no generation has, is to be removed: its files are orphans from now on."""
    c.execute(delete(prepared).where(prepared.c.job_id == job_id))
    _release(c, (segments.c.collection_id == collection_id) & (segments.c.prepared_by == job_id))


def tidy_later(c: Connection, job: AnyRow) -> None:
    """Have removed, soon and under the lease, what a cancelled job (its row) has prepared, if it has anything."""
    if segments_of(c, job.collection_id, job.id):
        tasks.create(c, collections.by_id(c, job.collection_id), Kind.TIDY, {})


def ended(c: Connection, collection_id: str) -> Sequence[str]:
    """Jobs that have prepared something and will not go on: ended for good, or followed by another such job."""
    mine = (segments.c.collection_id == collection_id) & (segments.c.state == "prepared")
    found = c.execute(select(segments.c.prepared_by).where(mine).distinct()).scalars().all()
    if not found:
        return []
    same = jobs.c.source_id.in_(select(jobs.c.source_id).where(jobs.c.id.in_(found)))
    newest = c.execute(select(func.max(jobs.c.number)).where(same)).scalar_one()
    over = jobs.c.state.in_(_ENDED) | (jobs.c.number < newest)
    return c.execute(select(jobs.c.id).where(jobs.c.id.in_(found), over)).scalars().all()


def abandon_unfinished(c: Connection, collection_id: str) -> None:
    """Documents that are half in begin again: their rows are in the space that is left."""
    mine = (versions.c.collection_id == collection_id) & (versions.c.state == "unfinished")
    c.execute(update(versions).where(mine).values(state="abandoned"))


def _release(c: Connection, mine: Any) -> None:
    still = mine & (segments.c.state == "prepared")
    c.execute(update(segments).where(still).values(state="reserved", prepared_by=None))
