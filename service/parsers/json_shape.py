"""Whether a text is one JSON value, or JSON objects one after another."""

import json
import re
from itertools import islice

_DEEPEST = 200  # levels; what is nested deeper than this is no document that a parser could walk
_LINES = 1000  # by which it is judged what most lines are
_DECODER = json.JSONDecoder()
_SPACE = re.compile(r"[ \t\r\n]*")
_LINE_END = re.compile(r"[\r\n]+")


def is_json(text: str) -> bool:
    """Whether it is one value, with no more levels than can be walked."""
    try:
        level = [json.loads(text)]
    except (ValueError, RecursionError):
        return False
    for _ in range(_DEEPEST):
        level = [item for value in level for item in _items(value)]
        if not level:
            return True
    return False


def is_array(text: str) -> bool:
    return text.lstrip().startswith("[") and is_json(text)


def is_object(line: str) -> bool:
    return line.lstrip().startswith("{") and is_json(line)


def mostly_records(text: str) -> bool:
    """Whether at least half of the lines that are not empty are JSON values."""
    lines = list(islice((line for line in text.split("\n") if line.strip()), _LINES))
    return bool(lines) and 2 * sum(map(is_json, lines)) >= len(lines)


def one_a_line(text: str) -> str:
    """Objects that follow one another, however they are wrapped, as one a line; "" where there is anything else."""
    lines, position = list[str](), _after_space(text, 0)
    while position < len(text):
        try:
            value, end = _DECODER.raw_decode(text, position)
        except (ValueError, RecursionError):
            return ""
        if not isinstance(value, dict):
            return ""
        # Inside an object line ends are white space only: in a string they are written as escapes.
        lines.append(_LINE_END.sub(" ", text[position:end]))
        position = _after_space(text, end)
    return "\n".join(lines)


def _items(value: object) -> list[object]:
    if isinstance(value, dict):
        return list(value.values())
    return value if isinstance(value, list) else []


def _after_space(text: str, position: int) -> int:
    found = _SPACE.match(text, position)
    return found.end() if found else position
