"""Rows in hand become the contents of a segment."""

from collections.abc import Iterator, Sequence
from itertools import groupby

import numpy as np

from service.engine.draft import Draft, Row
from service.index.records import ChunkRecord, SegmentContents, TextRecord, VersionRecord


def contents_of(rows: Sequence[Row]) -> SegmentContents:
    """Rows, grouped by document and in order of their chunks, as vectors, chunks, versions and texts."""
    drafts: dict[int, list[Row]] = {}
    for row in rows:
        drafts.setdefault(id(row.draft), []).append(row)
    return SegmentContents(
        vectors=np.stack([row.future.result() for row in rows]).astype(np.float32, copy=False),
        chunks=[
            ChunkRecord(version_of(row.draft), row.ordinal, row.start, row.stop, row.tokens) for row in rows
        ],
        versions=[_version(group[0].draft) for group in drafts.values()],
        texts=[text for group in drafts.values() for text in _texts(group)],
    )


def version_of(draft: Draft) -> int:
    """The number that the reservation gave."""
    assert draft.version_id is not None
    return draft.version_id


def _version(draft: Draft) -> VersionRecord:
    assert draft.doc_id is not None
    return VersionRecord(
        version=version_of(draft),
        doc_id=draft.doc_id,
        key=draft.place.key,
        title=draft.title,
        metadata=draft.metadata,
        content_sha256=draft.content_sha256,
    )


def _texts(rows: Sequence[Row]) -> Iterator[TextRecord]:
    """One text per run of consecutive chunks; what overlapping chunks share is stored once."""
    for _, run in groupby(enumerate(rows), key=lambda pair: pair[1].ordinal - pair[0]):
        chunks = [row for _, row in run]
        start = end = chunks[0].start - len(chunks[0].lead)
        parts = []
        for row in chunks:
            whole = row.lead + row.text
            parts.append(whole[end - (row.start - len(row.lead)) :])
            end = max(end, row.stop)
        if chunks[-1].draft.ended and chunks[-1].ordinal == chunks[-1].draft.chunks - 1:
            parts.append(chunks[-1].draft.tail)
        yield TextRecord(version_of(chunks[0].draft), start, "".join(parts))
