"""A JSON file as one document: its text field if it has one, else the whole of it as readable lines."""

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from service.errors import DocumentFailed
from service.parsers.parsed import DAMAGED, Parsed, Raw

_TEXT_FIELDS = ("content", "text")
_ABOUT = ("source", "category")
_OURS = ("filename", "file_type")  # facts about the file, whatever a record in it says
_KNOWN = {*_TEXT_FIELDS, *_ABOUT, *_OURS, "id", "title"}
_LONGEST_VALUE = 500  # characters of a metadata value; longer fields are not metadata


def parse(raw: Raw) -> Iterator[Parsed]:
    try:
        value = json.loads(raw.text)
        yield document("", value)
    except (ValueError, RecursionError) as error:
        raise DocumentFailed(DAMAGED, str(error)) from error


def known(keys: Iterable[str]) -> dict[str, str]:
    """The key under which each well-known field stands: `{"title": "Title"}`. Lower case goes first."""
    found: dict[str, str] = {}
    for key in keys:
        name = key.strip().lower()
        if name in _KNOWN and (key == name or name not in found):
            found[name] = key
    return found


def document(record: str, value: object) -> Parsed:
    """`value` is anything JSON can say. Raises RecursionError when it is nested too deeply."""
    if not isinstance(value, dict):
        return Parsed(record, "", "\n".join(_lines(value, "")), keep_indentation=True)
    keys = known(value)
    title = value.get(keys.get("title"))
    title = title if isinstance(title, str) else ""
    for field in _TEXT_FIELDS:
        text = value.get(keys.get(field))
        if isinstance(text, str):
            beside = {key: item for key, item in value.items() if key not in (keys[field], keys.get("title"))}
            return Parsed(record, title, text, _scalars(beside, keys), keep_indentation=True)
    about = {key: value[key] for name, key in keys.items() if name in _ABOUT}
    return Parsed(record, title, "\n".join(_lines(value, "")), _scalars(about, keys), keep_indentation=True)


def _scalars(fields: Mapping[str, Any], keys: Mapping[str, str]) -> dict[str, str]:
    """The short ones among the fields, as metadata."""
    names = {key: f"record_{name}" if name in _OURS else name for name, key in keys.items()}
    said = {
        names.get(key, key): _say(item) for key, item in fields.items() if not isinstance(item, dict | list)
    }
    return {name: text for name, text in said.items() if text and len(text) <= _LONGEST_VALUE}


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
