"""A JSON file as one document: its text field if it has one, else the whole of it as readable lines."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from service.errors import DocumentFailed
from service.parsers.parsed import DAMAGED, Parsed, Raw

_TEXT_FIELDS = ("content", "text")
_LONGEST_VALUE = 500  # characters of a metadata value; longer fields are not metadata


def parse(raw: Raw) -> Iterator[Parsed]:
    try:
        value = json.loads(raw.text)
        yield document("", value)
    except (ValueError, RecursionError) as error:
        raise DocumentFailed(DAMAGED, str(error)) from error


def document(record: str, value: object) -> Parsed:
    """`value` is anything JSON can say. Raises RecursionError when it is nested too deeply."""
    if not isinstance(value, dict):
        return Parsed(record, "", "\n".join(_lines(value, "")), keep_indentation=True)
    title = value.get("title")
    title = title if isinstance(title, str) else ""
    for field in _TEXT_FIELDS:
        if isinstance(value.get(field), str):
            return Parsed(
                record, title, value[field], _scalars(value, {field, "title"}), keep_indentation=True
            )
    return Parsed(record, title, "\n".join(_lines(value, "")), keep_indentation=True)


def _scalars(value: Mapping[str, Any], but: set[str]) -> dict[str, str]:
    """The fields beside the text, as metadata."""
    said = {
        key: _say(item) for key, item in value.items() if key not in but and not isinstance(item, dict | list)
    }
    return {key: text for key, text in said.items() if text and len(text) <= _LONGEST_VALUE}


def _lines(value: object, indent: str) -> Iterator[str]:
    """`key: value` and `- item` lines, nested by indentation."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield from _entry(f"{indent}{key}:", item, indent)
    elif isinstance(value, list):
        for item in value:
            yield from _entry(f"{indent}-", item, indent)
    else:
        yield indent + _say(value)


def _entry(label: str, item: object, indent: str) -> Iterator[str]:
    if isinstance(item, dict | list):
        yield label
        yield from _lines(item, indent + "  ")
    else:
        yield f"{label} {_say(item)}"


def _say(value: object) -> str:
    if isinstance(value, str):
        return value
    return "" if value is None else json.dumps(value)
