"""A JSON value as one document: its text field if it has one, else the whole of it as readable lines."""

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from service.errors import DocumentFailed
from service.parsers.parsed import DAMAGED, Parsed, Raw

_TEXT_FIELDS = ("content", "text")
_ABOUT = ("source", "category")
_OURS = ("filename", "file_type")  # facts about the file, whatever a record in it says
_KNOWN = {*_TEXT_FIELDS, *_ABOUT, *_OURS, "id", "title"}
_LONGEST_VALUE = 500  # characters of a metadata value; longer fields belong to the text
_LONGEST_SERIES = 64  # numbers; a longer list of nothing else is an embedding or the like, no text


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


def text_field(value: Mapping[str, Any], keys: Mapping[str, str]) -> str | None:
    """The first text field that says something, else the first there is."""
    found = [keys[field] for field in _TEXT_FIELDS if field in keys and isinstance(value[keys[field]], str)]
    return next((key for key in found if value[key].strip()), found[0] if found else None)


def document(record: str, value: object) -> Parsed:
    """`value` is anything JSON can say. Raises RecursionError when it is nested too deeply."""
    if not isinstance(value, dict):
        return Parsed(record, "", "\n".join(_lines(value, "")), keep_indentation=True)
    keys = known(value)
    title = value.get(keys.get("title"))
    title = "" if isinstance(title, dict | list) else _say(title)
    main = text_field(value, keys)
    if main is None:
        text = "\n".join(_lines(value, ""))
        beside = {key: value[key] for name, key in keys.items() if name in _ABOUT}
    else:
        taken = {main, keys["title"]} if title else {main}
        beside = {key: item for key, item in value.items() if key not in taken}
        text = "\n\n".join(filter(str.strip, [value[main], *_below(beside, keys)]))
    return Parsed(record, title, text, _scalars(beside, keys), keep_indentation=True)


def _below(beside: Mapping[str, Any], keys: Mapping[str, str]) -> Iterator[str]:
    """Fields that would be lost to the search as metadata, each with its label."""
    texts = {keys.get(field) for field in _TEXT_FIELDS}
    for key, item in beside.items():
        nested = isinstance(item, dict | list)
        least = 0 if key in texts else _LONGEST_VALUE
        if _has_words(item) if nested else len(_say(item).strip()) > least:
            yield "\n".join(_entry(f"{key}:", item, ""))


def _scalars(fields: Mapping[str, Any], keys: Mapping[str, str]) -> dict[str, str]:
    """The short ones among the fields, as metadata."""
    names = {key: f"record_{name}" if name in _OURS else name for name, key in keys.items()}
    said = {
        names.get(key, key): _say(item) for key, item in fields.items() if not isinstance(item, dict | list)
    }
    return {
        name: text
        for name, text in said.items()
        if text and len(text) <= _LONGEST_VALUE and name not in _TEXT_FIELDS
    }


def _has_words(nested: dict[str, Any] | list[Any]) -> bool:
    if isinstance(nested, list) and len(nested) > _LONGEST_SERIES:
        return not all(isinstance(item, int | float) for item in nested)
    return bool(nested)


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
