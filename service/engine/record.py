"""The one ledger transaction of a commit: every statement in it."""

import zlib
from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection

from service.engine.draft import Batch, DocumentChange, Draft
from service.engine.owner import Owner
from service.engine.state import CollectionState, as_json
from service.engine.written import Written
from service.ledger import collections, documents, items, jobs, metrics, segments, versions
from service.ledger.database import utc_now

EMBEDDING_FAILURES = ("embedder_died", "too_long")


def commit(
    c: Connection,
    state: CollectionState,
    batch: Batch,
    written: Written,
    owner: Owner,
    job_changes: Mapping[str, Any],
) -> None:
    """Make a batch true; the caller has the lease's row locked."""
    _documents(c, state, batch, owner, written)
    _versions(c, state, batch, owner, written)
    live_documents = state.documents + len(batch.finished) - len(batch.retired)
    checkpoint(c, state, written, owner, live_documents, batch.settled)
    outcomes = [
        {"item": o.item_id, "state": o.state, "reason": o.reason, "detail": o.detail} for o in batch.outcomes
    ]
    items.settle_all(c, outcomes)
    items.progressed(c, [draft.item_id for draft in batch.unfinished])
    newest = {
        "generation": written.generation,
        "at": written.at,
        "sha256": written.record.sha256,
        "batch": written.batch,
    }
    changes = {"checkpoint": newest, "losses": 0, **job_changes}
    if owner.job_id:
        jobs.count(c, owner.job_id, "checkpoint", batch.counters, **changes)
    _measure(c, batch, owner)


def checkpoint(
    c: Connection, state: CollectionState, written: Written, owner: Owner, live_documents: int, settled: int
) -> None:
    """What every commit records, whether it ingests or merges: segments, checkpoint, generation."""
    _segments(c, state, written)
    vectors = written.vectors(state.segments)
    segments.add_checkpoint(
        c,
        collection_id=state.id,
        generation=written.generation,
        batch=written.batch,
        kind=written.kind,
        job_id=owner.job_id or None,
        file=written.record.name,
        sha256=written.record.sha256,
        record=zlib.compress(written.record_bytes, 1),
        size_bytes=written.size_bytes,
        documents=live_documents,
        vectors=vectors,
        settled=settled,
        seconds=written.seconds(),
        at=written.at,
    )
    collections.change(
        c,
        state.id,
        generation=written.generation,
        batch=written.batch,
        documents=live_documents,
        vectors=vectors,
        last_saved=written.at,
    )
    labels = {"service": owner.service}
    metrics.add(c, "ingest_checkpoint_total", 1, **labels)
    metrics.observe(c, "ingest_checkpoint_duration_seconds", written.seconds(), **labels)


def batch_json(batch: Batch, owner: Owner) -> dict[str, Any]:
    """What the commit record says of documents: all that a rebuild without the ledger needs."""
    return {
        "versions_added": [_version_json(draft, owner, True) for draft in batch.finished]
        + [_version_json(draft, owner, False) for draft in batch.unfinished],
        "versions_retired": [{"version": version_id} for version_id in batch.retired],
        "documents": [
            {"doc_id": change.doc_id, **_place(change), **change.values} for change in batch.documents
        ],
    }


def _segments(c: Connection, state: CollectionState, written: Written) -> None:
    for segment in written.opened:
        segments.commit(
            c,
            state.id,
            segment.segment_id,
            first_batch=segment.first_batch,
            last_batch=segment.last_batch,
            rows=segment.rows,
            faiss=as_json(segment.faiss),
            chunks=as_json(segment.chunks),
            codes=as_json(segment.codes),
            verified_at=None
            if written.kind in ("merge", "repair")
            else utc_now(),  # what it was copied from stays until it is read back
        )
        live = as_json(segment.live)
        segments.open_span(c, state.id, segment.segment_id, written.generation, live, segment.live_rows)
    for change in written.changed:
        segment_id = change.segment.segment_id
        segments.close_span(c, state.id, segment_id, written.generation)
        live = as_json(change.live)
        segments.open_span(c, state.id, segment_id, written.generation, live, change.live_rows)
    for segment in written.closed:
        segments.close_span(c, state.id, segment.segment_id, written.generation)
    for (
        segment
    ) in written.reopened:  # after those that are closed: it may be the same segment with other rows
        live = as_json(segment.live)
        segments.open_span(c, state.id, segment.segment_id, written.generation, live, segment.live_rows)


def _documents(c: Connection, state: CollectionState, batch: Batch, owner: Owner, written: Written) -> None:
    new = [_new_row(state.id, draft, owner, {}, written) for draft in _drafts(batch) if draft.is_new]
    new += [_new_row(state.id, d, owner, d.values, written) for d in batch.documents if d.is_new]
    changed = [
        {**change.values, "updated_at": written.at, **_the(state.id, "the_doc", change.doc_id)}
        for change in batch.documents
        if not change.is_new
    ]
    changed += [
        {**_indexed(draft, owner, written), **_the(state.id, "the_doc", draft.doc_id)}
        for draft in batch.finished
    ]
    documents.save(c, new, changed)


def _versions(c: Connection, state: CollectionState, batch: Batch, owner: Owner, written: Written) -> None:
    finished = {id(draft) for draft in batch.finished}
    with_rows = {id(row.draft) for row in batch.rows}
    new, known = [], []
    for draft in _drafts(batch):
        values = {
            "state": "complete" if id(draft) in finished else "unfinished",
            "chunks": draft.embedded,
            "prefix_sha256": draft.committed_prefix,
            "last_batch": written.batch if id(draft) in with_rows else draft.last_batch,
        }
        if draft.first_batch is None:
            new.append({**values, **_version_identity(state.id, draft, owner), "first_batch": written.batch})
        else:
            known.append({**values, **_the(state.id, "the_version", draft.version_id)})
    known += [
        {"state": "abandoned", **_the(state.id, "the_version", version_id)} for version_id in batch.abandoned
    ]
    versions.save(c, new, known)
    visible = [draft.version_id for draft in batch.finished if draft.version_id is not None]
    versions.open_spans(c, state.id, visible, written.generation)
    versions.close_spans(c, state.id, batch.retired, written.generation)


def _drafts(batch: Batch) -> list[Draft]:
    return [*batch.finished, *batch.unfinished]


def _the(collection_id: str, name: str, number: int | None) -> dict[str, Any]:
    return {"the_collection": collection_id, name: number}


def _place(what: Draft | DocumentChange) -> dict[str, str]:
    place = what.place
    return {"key": place.key, "folder": place.folder, "name": place.name, "record": place.record}


def _new_row(
    collection_id: str,
    what: Draft | DocumentChange,
    owner: Owner,
    values: Mapping[str, Any],
    written: Written,
) -> dict[str, Any]:
    """Every column of a new document; "pending": no version of it is visible yet."""
    empty = {
        "reason": None,
        "detail": None,
        "stamp": "",
        "file_sha256": "",
        "content_sha256": "",
        "recipe": "",
    }
    return {
        "collection_id": collection_id,
        "doc_id": what.doc_id,
        "source_id": owner.source_id,
        **_place(what),
        "state": "pending",
        **empty,
        "title": None,
        "version_id": None,
        "chunks": 0,
        "bytes": 0,
        "generation": written.generation,
        "updated_at": written.at,
        **values,
    }


def _indexed(draft: Draft, owner: Owner, written: Written) -> dict[str, Any]:
    return {
        "state": "indexed",
        "reason": None,
        "detail": None,
        "stamp": draft.stamp,
        "file_sha256": draft.file_sha256,
        "content_sha256": draft.content_sha256,
        "recipe": owner.recipe,
        "title": draft.title,
        "described_sha256": draft.described_sha256,
        "version_id": draft.version_id,
        "chunks": draft.chunks,
        "bytes": draft.file_bytes,
        "generation": written.generation,
        "updated_at": written.at,
    }


def _version_identity(collection_id: str, draft: Draft, owner: Owner) -> dict[str, Any]:
    return {
        "collection_id": collection_id,
        "version_id": draft.version_id,
        "doc_id": draft.doc_id,
        "content_sha256": draft.content_sha256,
        "recipe": owner.recipe,
    }


def _version_json(draft: Draft, owner: Owner, finished: bool) -> dict[str, Any]:
    return {
        "version": draft.version_id,
        "doc_id": draft.doc_id,
        **_place(draft),
        "title": draft.title,
        "described_sha256": draft.described_sha256,
        "stamp": draft.stamp,
        "file_sha256": draft.file_sha256,
        "content_sha256": draft.content_sha256,
        "recipe": owner.recipe,
        "chunks": draft.embedded,
        "bytes": draft.file_bytes,
        "prefix_sha256": draft.committed_prefix,
        "finished": finished,
    }


def _measure(c: Connection, batch: Batch, owner: Owner) -> None:
    results = {"done": "indexed", "skipped": "skipped", "failed": "failed", "deleted": "deleted"}
    for counter, result in results.items():
        if batch.counters.get(counter):
            amount = batch.counters[counter]
            metrics.add(c, "ingest_items_processed_total", amount, service=owner.service, result=result)
    for counter, name in (("chunks", "ingest_chunks_total"), ("tokens", "ingest_embedded_tokens_total")):
        if batch.counters.get(counter):
            metrics.add(c, name, batch.counters[counter])
    for outcome in batch.outcomes:
        if outcome.state == "failed":
            stage = "embed" if outcome.reason in EMBEDDING_FAILURES else "parse"
            metrics.add(c, "ingest_item_failures_total", 1, service=owner.service, stage=stage)
    for reason, count in batch.restarts.items():
        metrics.add(c, "ingest_embedder_restarts_total", count, reason=reason)
