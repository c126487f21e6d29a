"""Containers of records, jsonl and csv: every record is a document of its own."""

import hashlib
import io
import json
from collections.abc import Iterator

from service.core.clean import clean_line
from service.parsers.csv_table import records
from service.parsers.json_tree import document, known
from service.parsers.parsed import DAMAGED, BadRecord, Parsed, Raw

_LONGEST_ID = 200  # characters; what is longer is no id


def parse_jsonl(raw: Raw) -> Iterator[Parsed | BadRecord]:
    names = _Names()
    for number, line in enumerate(io.StringIO(raw.text), 1):
        if not line.strip():
            continue
        try:
            yield names.of(json.loads(line), line)
        except (ValueError, RecursionError) as error:
            yield BadRecord(f"line-{number}", "failed", DAMAGED, str(error))


def parse_csv(raw: Raw) -> Iterator[Parsed | BadRecord]:
    names = _Names()
    for fields in records(raw.text):
        yield names.of(fields, json.dumps(fields))


class _Names:
    """Gives every record of one file an id that no other record of it has."""

    def __init__(self) -> None:
        self._ids: set[str] = set()
        self._digests: set[str] = set()

    def of(self, value: object, written: str) -> Parsed | BadRecord:
        """The record with its `id` field as id, else the hash of how it is written; a double is skipped."""
        digest = hashlib.sha256(written.strip().encode("utf-8", "replace")).hexdigest()[:16]
        record = _id_field(value) or digest
        if record in self._ids:
            record = f"{record}~{digest}"
        if digest in self._digests:
            return BadRecord(record, "skipped", "duplicate", "the same record stands in this file before")
        self._digests.add(digest)
        self._ids.add(record)
        return document(record, value)


def _id_field(value: object) -> str:
    found = value.get(known(value).get("id", "")) if isinstance(value, dict) else None
    if not isinstance(found, str | int) or isinstance(found, bool):
        return ""
    name = clean_line(str(found))
    return name if len(name) <= _LONGEST_ID else ""
