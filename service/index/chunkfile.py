"""Reading a verified `.chunks` file, which never changes."""

import json
import sqlite3
import zlib
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

from service.index.records import ChunkRecord, RowRecord, TextRecord, VersionRecord
from service.index.texts import BLOCK_CHARACTERS, stitch


class ChunkFile:
    """An open `.chunks` file: verify it before, use it in a `with`, in one thread at a time."""

    def __init__(self, path: Path) -> None:
        uri = f"{path.absolute().as_uri()}?immutable=1&mode=ro"
        self._database = sqlite3.connect(uri, uri=True, check_same_thread=False)

    def __enter__(self) -> "ChunkFile":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        self._database.close()

    def meta(self) -> dict[str, str]:
        """format, collection_id, segment, dimensions."""
        return dict(self._database.execute("SELECT key, value FROM meta").fetchall())

    def versions(self) -> list[VersionRecord]:
        """Every version that has a chunk here, in ascending order."""
        return self._versions("ORDER BY version")

    def version(self, version: int) -> VersionRecord | None:
        """One version, if it has a chunk here."""
        return next(iter(self._versions("WHERE version = ?", version)), None)

    def rows_of_version(self, version: int) -> list[RowRecord]:
        """Where a version's chunks are in this segment, by ordinal; empty for a version that is not here."""
        return self._rows("WHERE version = ? ORDER BY ordinal", version)

    def rows(self) -> list[RowRecord]:
        """Every chunk, in row order."""
        return self._rows('ORDER BY "row"')

    def versions_of_rows(self) -> list[int]:
        """The version of every chunk, in row order."""
        return [row[0] for row in self._database.execute('SELECT version FROM chunks ORDER BY "row"')]

    def places(self) -> list[tuple[int, int]]:
        """(version, ordinal) of every chunk, in row order."""
        return self._database.execute('SELECT version, ordinal FROM chunks ORDER BY "row"').fetchall()

    def texts(self, rows: Sequence[int]) -> list[str]:
        """The chunk texts of some rows, in the order asked for. Raises KeyError for an unknown row."""
        return [self._text(row) for row in rows]

    def text_of_version(self, version: int) -> list[TextRecord]:
        """The parts of a version's cleaned text that are here, ascending; they may overlap."""
        found = self._database.execute(
            "SELECT start, text FROM texts WHERE version = ? ORDER BY start", (version,)
        )
        return [TextRecord(version, start, _unpack(text)) for start, text in found]

    def text_between(self, version: int, start: int, stop: int) -> list[tuple[int, str]]:
        """(start, text) of the blocks that are here of characters [start, stop) of a version, ascending."""
        found = self._database.execute(
            "SELECT start, text FROM texts WHERE version = ? AND start > ? AND start < ? ORDER BY start",
            (version, start - BLOCK_CHARACTERS, stop),
        )
        return [(begin, _unpack(text)) for begin, text in found]

    def text_end(self, version: int) -> int:
        """Where the last block that is here of a version's text stops; 0: there is none."""
        found = self._database.execute("SELECT max(stop) FROM texts WHERE version = ?", (version,))
        return int(found.fetchone()[0] or 0)

    def _versions(self, which: str, *values: int) -> list[VersionRecord]:
        found = self._database.execute(
            f"SELECT version, doc_id, key, title, metadata, content_sha256 FROM versions {which}", values
        )
        return [
            VersionRecord(version, doc_id, key, title, json.loads(metadata), sha256)
            for version, doc_id, key, title, metadata, sha256 in found
        ]

    def _rows(self, which: str, *values: int) -> list[RowRecord]:
        found = self._database.execute(
            f'SELECT "row", version, ordinal, start, stop, tokens, text_hash FROM chunks {which}', values
        )
        return [RowRecord(row, ChunkRecord(*chunk), digest) for row, *chunk, digest in found]

    def _text(self, row: int) -> str:
        found = self._database.execute(
            'SELECT version, start, stop FROM chunks WHERE "row" = ?', (row,)
        ).fetchone()
        if found is None:
            raise KeyError(row)
        version, start, stop = found
        return stitch(self.text_between(version, start, stop), start, stop)


def _unpack(text: bytes) -> str:
    return zlib.decompress(text).decode()
