"""Collections: make one, describe one, and keep its embedding space pure."""

import re
from dataclasses import asdict
from typing import Any

from sqlalchemy import Connection

from service.core.space import Space
from service.engine import views
from service.errors import BadRequest, SpaceMismatch
from service.ledger import collections, documents, segments
from service.ledger.database import AnyRow, Ledger

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")


def check_name(name: str) -> str:
    """The name, if a collection may be called so: it becomes a folder's name. Raises BadRequest."""
    if not _NAME.fullmatch(name):
        raise BadRequest(
            f"{name!r} cannot name a collection: use 1 to 63 of a-z, 0-9, dot, dash and underscore, "
            "beginning with a letter or digit."
        )
    return name


def ensure(c: Connection, name: str, space: Space, weights: str) -> AnyRow:
    """The collection called `name`, made if there is none. Raises BadRequest, Conflict, SpaceMismatch."""
    found = collections.find(c, check_name(name))
    if found is None:
        return collections.create(c, name, asdict(space), weights, {})
    collections.refuse_if_deleting(found)
    check_space(Space(**found.space), space)
    return found


def check_space(stored: Space, offered: Space) -> None:
    """Raise SpaceMismatch when the model's vectors do not mean what the collection's mean."""
    if stored.fingerprint != offered.fingerprint:
        differing = [name for name, value in asdict(stored).items() if asdict(offered)[name] != value]
        told = ", ".join(f"{n}: {asdict(stored)[n]!r} there, {asdict(offered)[n]!r} here" for n in differing)
        raise SpaceMismatch(
            f"The collection was embedded in another space ({told}). `tidestone reindex` (--collection names it) "
            "embeds its stored texts with the model that is configured now; or use the model it was made with "
            "(embedding.model_path), or ingest into a new collection."
        )


def describe(ledger: Ledger, name: str) -> dict[str, Any]:
    """A collection as REST and the command line show it. Raises NotFound."""
    with ledger.read() as c:
        row = collections.by_name(c, name)
        live = segments.live(c, row.id)
        counted = documents.count_by_state(c, row.id)
        saved = segments.count_checkpoints(c, row.id)
    size = sum(file["bytes"] for s in live for file in (s.faiss, s.chunks, s.live) if file)
    return {
        "name": row.name,
        "id": row.id,
        "state": row.state,
        "generation": row.generation,
        "published_generation": row.published_generation,
        "documents": row.documents,
        "vectors": row.vectors,
        "tombstones": sum(s.rows for s in live) - row.vectors,
        "segments": len(live),
        "size_bytes": size,
        "checkpoints": saved,
        "last_saved": row.last_saved,
        "documents_by_state": counted,
        "space": {**row.space, "fingerprint": Space(**row.space).fingerprint},
        "created_at": row.created_at,
    }


def listing(ledger: Ledger) -> list[dict[str, Any]]:
    """All collections, described."""
    with ledger.read() as c:
        names = [row.name for row in collections.listing(c)]
    return [describe(ledger, name) for name in names]


def generation(ledger: Ledger, name: str) -> dict[str, Any]:
    """What readers may load, and what is committed. Raises NotFound."""
    with ledger.read() as c:
        row = collections.by_name(c, name)
    return {"collection": name, "published": row.published_generation, "committed": row.generation}


def checkpoints(ledger: Ledger, name: str, before: int | None = None, limit: int = 20) -> dict[str, Any]:
    """A collection's checkpoints below generation `before`, newest first, with the cursor of the next page."""
    with ledger.read() as c:
        row = collections.by_name(c, name)
        points = segments.list_checkpoints(c, row.id, before=before, limit=limit)
    shown = [views.checkpoint_view(point) for point in points]
    return {"checkpoints": shown, "next": str(points[-1].generation) if len(points) == limit else None}
