"""One file from the disk to messages: read, sniffed, parsed, cleaned, cut into chunks."""

import hashlib
import os
import stat as modes
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from service.core.chunk import CountTokens, Cut, chunk
from service.core.clean import SHORTEST_TEXT, clean, clean_line
from service.core.stamp import stamp_of, stamp_once_settled
from service.errors import DocumentFailed, SkipDocument, TryAgain
from service.parsers.parsed import (
    EMPTY,
    NO_PERMISSION,
    TOO_LARGE,
    TOO_SHORT,
    UNKNOWN_TYPE,
    BadRecord,
    Parsed,
    Raw,
)
from service.parsers.registry import Family, family, parser
from service.parsers.sniff import sniff

_BLOCK_BYTES = 1 << 20
_CHUNKS_PER_PIECE = 256
_CHARACTERS_PER_PIECE = 1_000_000

Message = tuple[dict[str, Any], str]  # a header and a text; see `service.parsers.sandbox`


@dataclass(frozen=True, slots=True)
class Limits:
    """How chunks are cut and how large a file may be."""

    max_tokens: int
    overlap_tokens: int
    max_file_bytes: int


def messages(
    path: Path, given: Mapping[str, str], known_sha256: str, count: CountTokens, limits: Limits
) -> Iterator[Message]:
    """What is said of one file: `read` first, then `piece` and `left`, `done` last.

    Raises SkipDocument, DocumentFailed, TryAgain.
    """
    data, read = _read(path, limits.max_file_bytes)
    unchanged = read["sha256"] == known_sha256
    yield {"kind": "read", **read, "unchanged": unchanged}, ""
    if unchanged:
        yield {"kind": "done", "container": False}, ""
        return
    if not data:
        raise SkipDocument(EMPTY)
    name, text = sniff(Raw(path, data, ""))
    kind, nothing = family(name), True
    for parsed in parser(kind)(Raw(path, data, text)):
        yield from _document(parsed, kind, path, given, count, limits)
        nothing = False
    if nothing:
        raise SkipDocument(EMPTY, "no records")
    yield {"kind": "done", "container": kind.container}, ""


def _read(path: Path, most_bytes: int) -> tuple[bytes, dict[str, Any]]:
    """The file's bytes and what is to be remembered of them; what was hashed is what will be parsed."""
    try:
        with open(path, "rb", opener=_without_waiting) as file:
            before = os.fstat(file.fileno())
            if not modes.S_ISREG(before.st_mode):
                raise SkipDocument(UNKNOWN_TYPE, "not a regular file")
            if before.st_size > most_bytes:
                raise SkipDocument(TOO_LARGE, f"{before.st_size} bytes, the limit is {most_bytes}")
            data = file.read(before.st_size + 1)
            if stamp_of(before) != stamp_of(os.fstat(file.fileno())) or len(data) != before.st_size:
                raise TryAgain("changed_while_read", str(path))
    except FileNotFoundError as error:
        raise TryAgain("vanished", str(path)) from error
    except PermissionError as error:
        raise DocumentFailed(
            NO_PERMISSION, f"{error.strerror}: give this user the right to read it"
        ) from error
    except OSError as error:
        raise TryAgain("io_error", str(error)) from error
    digest = hashlib.sha256(data).hexdigest()
    stamp = stamp_once_settled(before, time.time())
    return data, {"sha256": digest, "size_bytes": len(data), "stamp": stamp}


def _without_waiting(path: str, flags: int) -> int:
    """Opening a named pipe would otherwise wait for somebody to write into it."""
    return os.open(path, flags | os.O_NONBLOCK)


def _document(
    parsed: Parsed | BadRecord,
    kind: Family,
    path: Path,
    given: Mapping[str, str],
    count: CountTokens,
    limits: Limits,
) -> Iterator[Message]:
    if isinstance(parsed, BadRecord):
        yield _left(parsed.record, parsed.outcome, parsed.reason, parsed.detail), ""
        return
    text = clean(parsed.text, parsed.keep_indentation)
    if len(text) < SHORTEST_TEXT:
        reason = TOO_SHORT if text else EMPTY
        if not kind.container:
            raise SkipDocument(reason, f"{len(text)} characters")
        yield _left(parsed.record, "skipped", reason, f"{len(text)} characters"), ""
        return
    shared = _described(parsed, kind, path, given)
    shared["content_sha256"] = hashlib.sha256(text.encode()).hexdigest()
    cuts = chunk(text, count, limits.max_tokens, limits.overlap_tokens)
    for start, stop, said in _pieces(len(text), cuts):
        yield {"kind": "piece", **shared, "start": start, **said}, text[start:stop]


def _left(record: str, outcome: str, reason: str, detail: str) -> dict[str, Any]:
    return {"kind": "left", "record": record, "outcome": outcome, "reason": reason, "detail": detail}


def _described(parsed: Parsed, kind: Family, path: Path, given: Mapping[str, str]) -> dict[str, Any]:
    """Record, title and metadata: a document's own word goes before the task's, save on what its file is."""
    title = clean_line(parsed.title) or clean_line(f"{path.stem} {parsed.record}")
    file = {
        "file_type": parsed.metadata.get("file_type", kind.name),
        "filename": given.get("filename", path.name),
        "title": title,
    }
    outside = {"category": path.parent.name, **given}
    metadata = _tidy(outside) | _tidy(parsed.metadata) | _tidy(file)
    return {"record": parsed.record, "title": title, "metadata": metadata}


def _tidy(metadata: Mapping[str, str]) -> dict[str, str]:
    """Without empty values, which would stand in the way of what others say."""
    tidy = {clean_line(key): clean_line(value) for key, value in metadata.items()}
    return {key: value for key, value in tidy.items() if value}


def _pieces(length: int, cuts: Iterator[Cut]) -> Iterator[tuple[int, int, dict[str, Any]]]:
    """Chunks in handy numbers, with the range of the text that goes with them. Ranges leave no gap."""
    start, first, batch = 0, 0, list[Cut]()
    for cut in cuts:
        if batch and (len(batch) == _CHUNKS_PER_PIECE or cut.stop - start > _CHARACTERS_PER_PIECE):
            stop = max(batch[-1].stop, cut.start)
            yield start, stop, {"first_ordinal": first, "spans": batch, "last": False}
            start, first, batch = cut.start, first + len(batch), []
        batch.append(cut)
    yield start, length, {"first_ordinal": first, "spans": batch, "last": True}
