"""Options that several commands take, and the bounds of their values."""

import re
from collections.abc import Sequence
from typing import Annotated, Any

import typer

from service.bounds import (
    CURSOR,
    MOST_CHARACTERS,
    MOST_DOCUMENTS,
    MOST_HITS,
    MOST_ID,
    MOST_LISTED,
    MOST_WORKERS,
)
from service.errors import BadRequest


def _within(most: int, help: str, *names: str) -> Any:
    """An option from 1 to `most`. Typer's own bounds would say so in a frame of five lines."""

    def check(param: typer.CallbackParam, value: int | None) -> int | None:
        if value is not None and not 1 <= value <= most:
            raise BadRequest(f"{param.opts[0]} takes 1 to {most}, not {str(value)[:20]}.")
        return value

    return typer.Option(*names, callback=check, help=f"{help} (1 to {most}).")


def _cursor(text: str | None) -> str | None:
    if text is not None and not re.fullmatch(CURSOR, text):
        raise BadRequest(f"{text!r} is not a cursor: take `next` from the page before.")
    return text


Server = Annotated[
    str | None,
    typer.Option(
        "--server", help="Ask the service at this address (http://host:port), not the data folder here."
    ),
]
JsonFlag = Annotated[bool, typer.Option("--json", help="Print JSON on stdout.")]
Collection = Annotated[str, typer.Option("--collection", "-c", help="The collection's name.")]
JobName = Annotated[str | None, typer.Argument(help="The job's id; may be left out where only one fits.")]
Limit = Annotated[int, _within(MOST_LISTED, "At most so many", "--limit", "-n")]
Hits = Annotated[int, _within(MOST_HITS, "How many chunks", "-k")]
BatchSize = Annotated[int | None, _within(MOST_DOCUMENTS, "Documents in one checkpoint")]
Workers = Annotated[int | None, _within(MOST_WORKERS, "Documents parsed at once")]
Cursor = Annotated[str | None, typer.Option(callback=_cursor, help="`next` of the page before.")]


def check_encoding(arguments: Sequence[str]) -> None:
    """Raise BadRequest for bytes that are not UTF-8, which neither the ledger nor JSON takes."""
    for argument in arguments:
        try:
            argument.encode()
        except UnicodeEncodeError as error:
            raise BadRequest(f"{argument!r} is not UTF-8: give another name.") from error


def check_question(text: str) -> None:
    """Raise BadRequest for a question that REST would refuse too."""
    if not text.strip() or len(text) > MOST_CHARACTERS:
        raise BadRequest(f"The question is blank, or longer than {MOST_CHARACTERS} characters.")


def one_document(id_or_key: str | None, key: str | None) -> dict[str, Any]:
    """The one that is meant, as `doc_id` or `key`; empty: none. Raises BadRequest for a number that is no id."""
    if id_or_key is not None and key is not None:
        raise BadRequest("A document and --key exclude each other.")
    if id_or_key is None or not (id_or_key.isascii() and id_or_key.isdecimal()):
        named = key if id_or_key is None else id_or_key
        return {} if named is None else {"key": named}
    if len(id_or_key) > len(str(MOST_ID)) or not 1 <= int(id_or_key) <= MOST_ID:
        raise BadRequest(f"{id_or_key[:30]} is no document's id; if it is a key, name it with --key.")
    return {"doc_id": int(id_or_key)}
