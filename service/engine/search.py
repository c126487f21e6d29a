"""Search what is published, through the same reader that other processes use."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from threading import Lock
from typing import Any

from service.core.space import Space
from service.engine.collections import check_space
from service.engine.once import Once
from service.engine.settings import EngineSettings
from service.errors import BadRequest, Corrupt, TooLong
from service.ledger import collections, segments
from service.ledger.database import AnyRow, Ledger
from service.ports import Embedder
from service.reader import Collection, Damaged, Hit, Snapshot


@dataclass(frozen=True, slots=True)
class Query:
    """A question: a text, or a vector of the collection's own space."""

    text: str | None = None
    vector: Sequence[float] | None = None
    k: int = 10
    where: Mapping[str, str] = field(default_factory=dict)  # only documents with all these metadata values


class Search:
    """Opens a collection when it is first asked, and again when what is published has moved. Thread-safe."""

    def __init__(
        self, ledger: Ledger, settings: EngineSettings, make_embedder: Callable[[], Embedder]
    ) -> None:
        self._ledger, self._settings = ledger, settings
        self._embedder = Once(make_embedder)
        self._opening = Lock()
        self._open: dict[str, Collection] = {}

    def search(self, name: str, query: Query) -> dict[str, Any]:
        """The nearest live chunks, best first, and the generation they are of.

        Raises NotFound, Conflict (it is being deleted), BadRequest, SpaceMismatch, and Corrupt when nothing
        verified can be opened. A damaged file in a newer generation leaves the older one, verified, in use; the
        job that comes next repairs it.
        """
        with self._ledger.read() as c:
            row = collections.active(c, name)
        opened = self._collection(row) if row.published_generation else None
        answer = {"collection": name, "published_generation": row.published_generation}
        if opened is None:
            self._vector(Space(**row.space), query)
            return {**answer, "generation": 0, "hits": []}
        snapshot = opened.snapshot()
        # Not the ledger's word: what is published may still be in the space before a switch.
        vector = self._vector(_space_of(snapshot), query)
        try:
            hits = snapshot.search(vector, query.k, query.where or None)
        except ValueError as error:
            raise BadRequest(f"This is not a query: {error}.") from error
        return {**answer, "generation": snapshot.generation, "hits": [_shown(hit) for hit in hits]}

    def close(self) -> None:
        """End the embedder, if a text was ever asked for, and let go of the collections."""
        self._embedder.close(lambda embedder: embedder.close())
        self._open.clear()

    def forget_deleted(self) -> None:
        """Let go of the files of collections that are deleted."""
        with self._ledger.read() as c:
            active = {row.id for row in collections.listing(c) if row.state == "active"}
        with self._opening:
            self._open = {known: opened for known, opened in self._open.items() if known in active}

    def _vector(self, space: Space, query: Query) -> Any:
        if (query.text is None) == (query.vector is None):
            raise BadRequest("Give either a text or a vector.")
        if query.vector is not None:
            return query.vector
        embedder = self._embedder.get()
        check_space(space, embedder.space)
        try:
            return embedder.embed_query(query.text or "")
        except TooLong as error:
            raise BadRequest(f"The text is too long for the model: {error.detail}.") from error

    def _collection(self, row: AnyRow) -> Collection:
        found = self._open.get(row.id)
        if found is not None and found.generation >= row.published_generation:
            return found
        with self._opening:
            found = self._open.get(row.id)
            try:
                if found is None:
                    self._open[row.id] = found = Collection.open(self._settings.folder(row.name))
                elif found.generation < row.published_generation:
                    found.refresh()
            except (Damaged, FileNotFoundError) as error:
                self._suspect(row, error)
                if found is None:
                    raise _corrupt(self._settings, row, error) from error
            return found

    def _suspect(self, row: AnyRow, error: Damaged | FileNotFoundError) -> None:
        """The next job on the collection looks into the file before anything else."""
        damaged = _corrupt(self._settings, row, error).path
        with self._ledger.write() as c:
            segments.suspect(c, row.id, f"{damaged.parent.name}/{damaged.name}")


def _corrupt(settings: EngineSettings, row: AnyRow, error: Damaged | FileNotFoundError) -> Corrupt:
    if isinstance(error, Damaged):
        return Corrupt(error.path, error.expected, error.found)
    return Corrupt(settings.folder(row.name) / "manifest.json", "a published manifest", "no file")


def _space_of(snapshot: Snapshot) -> Space:
    return Space(**{name: value for name, value in snapshot.space.items() if name != "fingerprint"})


def _shown(hit: Hit) -> dict[str, Any]:
    return {
        "score": hit.score,
        "key": hit.key,
        "doc_id": hit.doc_id,
        "title": hit.title,
        "text": hit.text,
        "ordinal": hit.ordinal,
        "version": hit.version,
        "metadata": dict(hit.metadata),
    }
