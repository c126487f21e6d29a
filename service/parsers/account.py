"""What a child says of a file, as the values and errors of the port."""

import hashlib
import json
from typing import Any, NoReturn

from service.errors import DocumentFailed, SkipDocument, TryAgain
from service.ports import FileRead, Left, Piece, Span


class Told:
    """What the caller knows of a file: a second child's account goes on where the first broke off."""

    def __init__(self) -> None:
        self.read: dict[str, Any] = {}
        self._told, self._digest = 0, hashlib.sha256()
        self._heard, self._echo = 0, hashlib.sha256()

    @property
    def sha256(self) -> str:
        return str(self.read.get("sha256", ""))

    def again(self) -> None:
        self._heard, self._echo = 0, hashlib.sha256()

    def is_new(self, header: dict[str, Any], body: bytes) -> bool:
        """False for a message the caller has had. Raises TryAgain when the second account differs."""
        said = json.dumps({key: header[key] for key in header if key != "resident_bytes"}).encode() + body
        self._heard += 1
        self._echo.update(said)
        if self._heard > self._told:
            self._told += 1
            self._digest.update(said)
            return True
        if self._heard == self._told and self._echo.digest() != self._digest.digest():
            raise TryAgain("changed_while_read", "it read differently the second time")
        return False

    def file_read(self, container: bool) -> FileRead:
        read = self.read
        return FileRead(read["sha256"], read["size_bytes"], read["stamp"], container, read["unchanged"])


def piece(header: dict[str, Any], body: bytes) -> Piece:
    return Piece(
        header["record"],
        header["title"],
        header["metadata"],
        header["content_sha256"],
        header["start"],
        body.decode(),
        header["first_ordinal"],
        tuple(Span(*span) for span in header["spans"]),
        header["last"],
    )


def left(header: dict[str, Any]) -> Left:
    return Left(header["record"], header["outcome"], header["reason"], header["detail"])


def raise_outcome(header: dict[str, Any], sha256: str) -> NoReturn:
    reason, detail = header["reason"], header["detail"]
    if header["kind"] == "skip":
        raise SkipDocument(reason, detail, sha256)
    if header["kind"] == "again":
        raise TryAgain(reason, detail)
    raise DocumentFailed(reason, detail, sha256)
