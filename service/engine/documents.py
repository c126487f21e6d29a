"""Is my file in, and as what?"""

from typing import Any

from service.engine import views
from service.engine.cursors import number_of
from service.engine.settings import EngineSettings
from service.errors import NotFound
from service.index.files import StoredFile, verify
from service.ledger import collections, documents, segments, versions
from service.ledger.database import AnyRow, Ledger


def listing(
    ledger: Ledger,
    name: str,
    *,
    state: str | None = None,
    prefix: str = "",
    cursor: str | None = None,
    limit: int = 100,
) -> dict[str, Any]:
    """A collection's documents by id, with the cursor of the next page. Raises NotFound, BadRequest."""
    after = number_of(cursor) or 0
    with ledger.read() as c:
        collection = collections.by_name(c, name)
        rows = documents.listing(c, collection.id, state=state, prefix=prefix, after=after, limit=limit)
    shown = [views.document_view(row) for row in rows]
    return {"documents": shown, "next": str(rows[-1].doc_id) if len(rows) == limit else None}


def get(
    ledger: Ledger, settings: EngineSettings, name: str, *, doc_id: int | None = None, key: str | None = None
) -> dict[str, Any]:
    """One document with its text and chunks, from verified files. Raises NotFound, Corrupt."""
    with ledger.read() as c:
        collection = collections.by_name(c, name)
        if doc_id is not None:
            row = documents.by_id(c, collection.id, doc_id)
        else:
            row = documents.by_key(c, collection.id, key or "")
        if row is None:
            raise NotFound("document", key if doc_id is None else doc_id)
        live = segments.live(c, collection.id)
        version = versions.by_id(c, collection.id, row.version_id) if row.version_id else None
    view = views.document_view(row)
    if version is not None:
        within = [
            s for s in live if s.first_batch <= version.last_batch and version.first_batch <= s.last_batch
        ]
        view["contents"] = _contents(settings, name, version.version_id, within)
    return view


def _contents(
    settings: EngineSettings, name: str, version_id: int, within: list[AnyRow]
) -> list[dict[str, Any]]:
    """The chunks of a version, in order."""
    from service.index.chunkfile import ChunkFile  # loads numpy: a process that only serves jobs does without

    folder = settings.folder(name)
    found: list[dict[str, Any]] = []
    for segment in within:
        file = StoredFile(**segment.chunks)
        verify(folder, file)
        with ChunkFile(folder / file.name) as chunks:
            rows = chunks.rows_of_version(version_id)
            texts = chunks.texts([row.row for row in rows])
            for row, text in zip(rows, texts, strict=True):
                chunk = row.chunk
                found.append(
                    {"ordinal": chunk.ordinal, "start": chunk.start, "tokens": chunk.tokens, "text": text}
                )
    return sorted(found, key=lambda chunk: chunk["ordinal"])
