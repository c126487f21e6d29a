"""A table in text as records: what its first rows are, and under which name each cell stands."""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import chain, islice, zip_longest

from service.parsers.csv_rows import layout, rows
from service.parsers.json_tree import known, text_field

_SAMPLE_ROWS = 20
_LEAST_HEADER = 3  # names below a title line, so that prose with a comma is no header
_LONGEST_NAME = 60  # characters; a header has no longer names
_NUMBER = re.compile(r"[-+]?\d[\d.,:/ -]*%?")
_YEAR = re.compile(r"1[5-9]\d\d|20\d\d")  # tables by year have such names


def records(text: str) -> Iterator[dict[str, str]]:
    """Every row that is not blank, below the header if there is one; rows above it are records too."""
    found = layout(text)
    filled = (row for row in rows(text, found) if any(cell.strip() for cell in row))
    first = list(islice(filled, _SAMPLE_ROWS))
    title_rows = _title_rows(first)
    for row in first[:title_rows]:
        yield _fields([], row, found.delimiter)
    names: list[str] = []
    body = first[title_rows:]
    if _has_header(body):
        names, body = _distinct(body[0]), body[1:]
    for row in chain(body, filled):
        yield _fields(names, row, found.delimiter)


def _title_rows(first: Sequence[Sequence[str]]) -> int:
    """How many rows stand above the header, each with one cell in use."""
    for number, row in enumerate(first):
        in_use = sum(bool(cell.strip()) for cell in row)
        if known(row) or in_use > 1:
            return number if known(row) or in_use >= _LEAST_HEADER else 0
    return 0


def _has_header(body: Sequence[Sequence[str]]) -> bool:
    """False when the first row looks like data: to take it for names would lose a record."""
    if not body or known(body[0]):
        return bool(body)
    if len(body) == 1:
        return False
    kinds = [(_kind(first), _kind(second)) for first, second in zip(body[0], body[1], strict=False)]
    return not any(first == second != "name" for first, second in kinds)


def _kind(cell: str) -> str:
    cell = cell.strip()
    if _NUMBER.fullmatch(cell) and not _YEAR.fullmatch(cell):
        return "number"
    return "sentence" if len(cell) > _LONGEST_NAME else "name"


def _distinct(header: Sequence[str]) -> list[str]:
    """The names, the second `note` as `note 2`; those left blank stay blank."""
    names: list[str] = []
    taken, doubles = set[str](), Counter[str]()
    for cell in header:
        name = label = cell.strip()
        while label in taken:
            doubles[name] += 1
            label = f"{name} {doubles[name] + 1}"
        names.append(label)
        taken |= {label} if label else set()
    return names


def _fields(names: Sequence[str], row: Sequence[str], delimiter: str) -> dict[str, str]:
    """The row's cells by name. What is beyond the last name belongs to the text, if one is named."""
    count = len(names)
    named = enumerate(zip_longest(names, row[:count], fillvalue=""), 1)
    fields = {name or f"column {number}": cell for number, (name, cell) in named if name or cell}
    surplus = {f"column {number}": cell for number, cell in enumerate(row[count:], count + 1) if cell}
    main = text_field(fields, known(fields)) if surplus else None
    if main is None:
        return fields | surplus
    if main == names[-1]:  # the text itself holds the delimiter
        return fields | {main: delimiter.join([fields[main], *row[count:]]).rstrip(delimiter)}
    return fields | {main: "\n\n".join([fields[main], *map(": ".join, surplus.items())])}
