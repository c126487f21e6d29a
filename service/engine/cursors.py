"""Where a page of a long listing begins."""

from service.errors import BadRequest


def number_of(cursor: str | None) -> int | None:
    """The number that a page's `next` stands for. Raises BadRequest."""
    if cursor is None:
        return None
    if not (cursor.isascii() and cursor.isdigit()):
        raise BadRequest(f"{cursor!r} is not a cursor: take `next` from the page before.")
    return int(cursor)
