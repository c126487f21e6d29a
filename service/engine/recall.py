"""What the collection already holds of a document that is to be made again."""

from collections.abc import Iterator

from service.engine.draft import Draft
from service.engine.reuse import Reuse
from service.engine.state import CollectionState, Segment
from service.engine.stored import StoredVersion
from service.index.records import RowRecord
from service.ledger import documents, versions
from service.ledger.database import AnyRow, Ledger

_MOST_LEARNT = 1_000  # chunks of one version, all at once


class Recall:
    """Called once per draft: takes up an unfinished version, and teaches `Reuse` the vectors of older ones."""

    def __init__(self, ledger: Ledger, state: CollectionState, recipe: str, fresh: bool) -> None:
        """`fresh`: stored vectors are not used again; they may be why everything is to be done again."""
        self._ledger, self._state, self._recipe, self._fresh = ledger, state, recipe, fresh
        self._reuse: Reuse | None = None
        self.abandoned: list[int] = []

    def start(self, reuse: Reuse) -> None:
        """Whom to teach from now on."""
        self._reuse = reuse

    def __call__(self, draft: Draft, known: AnyRow | None) -> list[int]:
        """Returns the unfinished versions of the document that are of no use any more."""
        useless: list[int] = []
        with self._ledger.read() as c:
            twin = documents.with_content(c, self._state.id, draft.content_sha256)
            unfinished = versions.unfinished_of(c, self._state.id, draft.doc_id) if draft.doc_id else []
            old = [
                versions.by_id(c, self._state.id, row.version_id)
                for row in (known, twin)
                if row is not None and row.version_id is not None
            ]
        for version in unfinished:
            if version.content_sha256 == draft.content_sha256 and version.recipe == self._recipe:
                _take_up(draft, version)
            else:
                useless.append(version.version_id)
        if not self._fresh:
            self._learn(old)
        return useless

    def _learn(self, versions: list[AnyRow]) -> None:
        assert self._reuse is not None
        for version in versions:
            parts = list(self._parts(version))
            if version.chunks > _MOST_LEARNT:
                self._reuse.remember(StoredVersion(self._state, parts))
                continue
            for segment, rows in parts:
                vectors = self._state.vectors_of(segment, [row.row for row in rows])
                self._reuse.learn((row.text_hash, v) for row, v in zip(rows, vectors, strict=True))

    def _parts(self, version: AnyRow) -> Iterator[tuple[Segment, list[RowRecord]]]:
        for segment in self._state.covering(version.first_batch, version.last_batch):
            rows = self._state.chunk_file(segment).rows_of_version(version.version_id)
            if rows:
                yield segment, rows


def _take_up(draft: Draft, version: AnyRow) -> None:
    draft.version_id = version.version_id
    draft.first_batch, draft.last_batch = version.first_batch, version.last_batch
    draft.stored_chunks, draft.stored_prefix = version.chunks, version.prefix_sha256
