"""A visible version as the live segments keep it: its chunks in order, and its text."""

from collections.abc import Iterator

from service.engine.state import CollectionState
from service.index.records import ChunkRecord, VersionRecord
from service.index.texts import stitch
from service.ledger.database import AnyRow


class KeptVersion:
    """Read from verified files; a large text is never in memory as a whole."""

    def __init__(self, state: CollectionState, version: AnyRow) -> None:
        """`version`: its ledger row. Raises Corrupt."""
        self._number: int = version.version_id
        covering = state.covering(version.first_batch, version.last_batch)
        files = [(segment, state.chunk_file(segment)) for segment in covering]
        self._files = [file for _, file in files if file.version(self._number) is not None]
        self._chunks = sorted(
            (
                row.chunk
                for segment, file in files
                for row in file.rows_of_version(self._number)
                if state.alive(segment)[row.row]
            ),
            key=lambda chunk: chunk.ordinal,
        )
        self.end = max((file.text_end(self._number) for file in self._files), default=0)

    def __len__(self) -> int:
        return len(self._chunks)

    def record(self) -> VersionRecord:
        """What its documents' files say of it."""
        found = (file.version(self._number) for file in self._files)
        return next(record for record in found if record is not None)

    def chunks(self, first: int) -> Iterator[tuple[ChunkRecord, str]]:
        """Chunks from the one numbered `first` on, each with its text."""
        for chunk in self._chunks[first:]:
            yield chunk, self.text(chunk.start, chunk.stop)

    def begin_of(self, position: int) -> int:
        """The first character that the chunks before `position` leave over: where the one before stops."""
        return self._chunks[position - 1].stop if position else 0

    def text(self, start: int, stop: int) -> str:
        """Characters [start, stop). Raises ValueError when one is missing."""
        parts = [part for file in self._files for part in file.text_between(self._number, start, stop)]
        return stitch(sorted(parts), start, stop)
