"""Every family of formats, with the module that parses it."""

import importlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import cast

from service.parsers.parsed import BadRecord, Parsed, Raw

Parse = Callable[[Raw], Iterator[Parsed | BadRecord]]


@dataclass(frozen=True, slots=True)
class Family:
    """`parse` is the name of a function in `module`, which is imported when it is first needed."""

    name: str
    module: str
    parse: str
    container: bool = False  # its records are the documents


FAMILIES = (
    Family("text", "service.parsers.text", "parse"),
    Family("html", "service.parsers.html", "parse"),
    Family("json", "service.parsers.json_tree", "parse"),
    Family("jsonl", "service.parsers.records", "parse_jsonl", container=True),
    Family("csv", "service.parsers.records", "parse_csv", container=True),
    Family("pdf", "service.parsers.pdf", "parse"),
    Family("docx", "service.parsers.docx", "parse"),
    Family("pptx", "service.parsers.pptx", "parse"),
    Family("xlsx", "service.parsers.xlsx", "parse"),
    Family("epub", "service.parsers.epub", "parse"),
)


def family(name: str) -> Family:
    return next(family for family in FAMILIES if family.name == name)


def parser(family: Family) -> Parse:
    """Heavy libraries are loaded here, so that a child that only ever sees plain text stays small."""
    return cast(Parse, getattr(importlib.import_module(family.module), family.parse))
