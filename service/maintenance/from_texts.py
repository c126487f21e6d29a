"""Documents whose vectors are gone are embedded from their stored texts, where these are whole: no source is needed."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import wait
from contextlib import ExitStack, closing
from dataclasses import dataclass, field, replace
from typing import Any

from service.engine import repair
from service.engine.draft import Batch, Draft, Place, Row
from service.engine.owner import MAINTENANCE
from service.engine.recover import is_whole
from service.engine.reuse import Reuse
from service.engine.rows import rows_of
from service.engine.state import CollectionState, Segment
from service.errors import DocumentFailed, Unavailable
from service.index.chunkfile import ChunkFile
from service.index.texts import stitch
from service.ledger import documents, spans, versions
from service.ledger.database import AnyRow
from service.maintenance.work import Work
from service.ports import Embedder, Piece, Span

_TICK_SECONDS = 0.1


def take_out(work: Work, damaged: Sequence[Segment]) -> tuple[Mapping[str, Any], int]:
    """Take damaged segments out of use (see `engine.repair`), then bring back what the texts that are left allow.

    What a repair did, and how many of the documents that it has queued again are back. A crash, or an order to stop, in
    between leaves them to their sources. Raises LeaseLost, TryAgain, Corrupt.
    """
    holding, embedder = work.holding, work.embedder
    state, ledger = holding.state, holding.ledger
    if embedder is None or embedder.space.fingerprint != state.space.fingerprint:
        return repair.take_out(ledger, holding.committer, state, MAINTENANCE, damaged), 0
    before = _in_segments(work, damaged)
    with closing(Texts.of(state, [version for version, _ in before])) as texts:
        done = repair.take_out(ledger, holding.committer, state, MAINTENANCE, damaged)
        with ledger.read() as c:
            visible = spans.visible_at(c, state.id, state.generation)
        lost = [pair for pair in before if pair[0].version_id not in visible]
        return done, FromTexts(work, embedder, texts).run(lost)


def _in_segments(work: Work, damaged: Sequence[Segment]) -> list[tuple[AnyRow, AnyRow]]:
    """(version, document) of what is visible and has rows in these segments."""
    collection_id = work.holding.state.id
    with work.holding.ledger.read() as c:
        found = [v for v in versions.live(c, collection_id) if any(_overlap(s, v) for s in damaged)]
        rows = [(version, documents.by_id(c, collection_id, version.doc_id)) for version in found]
    return [(version, document) for version, document in rows if document is not None]


@dataclass
class Texts:
    """The chunk files of damaged segments, and of sound ones, that are whole; open, so that it does not matter where they go."""

    files: list[tuple[Segment, ChunkFile]] = field(default_factory=list)
    _held: ExitStack = field(default_factory=ExitStack)

    @classmethod
    def of(cls, state: CollectionState, wanted: Sequence[AnyRow]) -> "Texts":
        """For these versions, which may be in several segments. Whoever gets it closes it."""
        texts = cls()
        ranges = {(version.first_batch, version.last_batch) for version in wanted}
        near = [
            s
            for s in state.segments
            if any(s.first_batch <= last and first <= s.last_batch for first, last in ranges)
        ]
        for segment in near:
            if is_whole(state, segment.chunks):
                file = texts._held.enter_context(ChunkFile(state.folder / segment.chunks.name))
                texts.files.append((segment, file))
        return texts

    def close(self) -> None:
        """Close the files."""
        self._held.close()

    def piece(self, version: AnyRow) -> Piece | None:
        """A version as its preparer once gave it; None where a part of it is not there."""
        files = [file for segment, file in self.files if _overlap(segment, version)]
        number = version.version_id
        rows = {row.chunk.ordinal: row for file in files for row in file.rows_of_version(number)}
        ordered = [rows[ordinal] for ordinal in sorted(rows)]
        running = hashlib.sha256(b"".join(row.text_hash for row in ordered)).hexdigest()
        if len(ordered) != version.chunks or running != version.prefix_sha256:
            return None
        said = next(found for file in files if (found := file.version(number)) is not None)
        end = max(file.text_end(number) for file in files)
        parts = sorted(part for file in files for part in file.text_between(number, 0, end))
        try:
            text = stitch(parts, 0, end)
        except ValueError:
            return None
        spans = [Span(row.chunk.start, row.chunk.stop, row.chunk.tokens) for row in ordered]
        return Piece(version.record, said.title, said.metadata, said.content_sha256, 0, text, 0, spans, True)


def _overlap(one: Segment | AnyRow, other: Segment | AnyRow) -> bool:
    return bool(one.first_batch <= other.last_batch and other.first_batch <= one.last_batch)


@dataclass
class FromTexts:
    """Brings documents back that a repair has just taken out; whatever it does not come to is done again from its source."""

    work: Work
    embedder: Embedder
    texts: Texts
    brought_back: int = 0
    _reuse: Reuse = field(init=False)
    _batch: Batch = field(default_factory=lambda: Batch(kind="repair"))
    _recipe: str = ""

    def run(self, lost: Sequence[tuple[AnyRow, AnyRow]]) -> int:
        """How many of these (version, document when all was well) are back.

        Raises LeaseLost, TryAgain, Corrupt, and what the work's check raises: what is committed stays.
        """
        try:
            for version, document in sorted(lost, key=lambda pair: str(pair[0].recipe)):
                self.work.check()
                if version.chunks <= self._most_rows and (piece := self.texts.piece(version)) is not None:
                    self._take(version, document, piece)
            self._commit()
        except Unavailable:  # nothing can be embedded just now
            pass
        return self.brought_back

    def __post_init__(self) -> None:
        self._reuse = Reuse(self.embedder.submit)

    @property
    def _most_rows(self) -> int:
        """Of one commit; a document that is larger is left to its source."""
        return self.work.holding.settings.segment_rows

    def _take(self, version: AnyRow, document: AnyRow, piece: Piece) -> None:
        if version.recipe != self._recipe or len(self._batch.rows) + version.chunks > self._most_rows:
            self._commit()
        self._recipe = version.recipe
        draft = Draft.of(0, Place(document.folder, document.name, document.record, document.key), piece)
        draft.doc_id, draft.stamp, draft.file_sha256 = document.doc_id, document.stamp, document.file_sha256
        draft.file_bytes = document.bytes
        rows = list(rows_of(draft, piece, self._reuse.vector))
        draft.embedded, draft.committed_prefix = len(rows), rows[-1].prefix_sha256
        self._batch.rows += rows
        self._batch.finished.append(draft)

    def _commit(self) -> None:
        batch, self._batch = self._batch, Batch(kind="repair")
        failed = {id(row.draft) for row in self._awaited(batch.rows) if _has_failed(row)}
        batch.rows = [row for row in batch.rows if id(row.draft) not in failed]
        batch.finished = [draft for draft in batch.finished if id(draft) not in failed]
        if batch.finished:
            self.work.holding.committer.commit(batch, replace(MAINTENANCE, recipe=self._recipe))
            self.brought_back += len(batch.finished)

    def _awaited(self, rows: Sequence[Row]) -> Iterator[Row]:
        """Each, once it has its vector, or is known not to get one. What the check raises cancels the rest."""
        try:
            for row in rows:
                while not wait([row.future], timeout=_TICK_SECONDS).done:
                    self.work.check()
                yield row
        except BaseException:
            for row in rows:
                row.future.cancel()
            raise


def _has_failed(row: Row) -> bool:
    """Raises what is not the document's own fault."""
    error = row.future.exception()
    if error is not None and not isinstance(error, DocumentFailed):
        raise error
    return error is not None
