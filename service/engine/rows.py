"""From what is said of a document to rows: one chunk each, with its vector to be."""

from collections.abc import Callable, Iterator
from concurrent.futures import Future

from service.engine.draft import Draft, Row
from service.errors import TryAgain
from service.index.records import text_hash
from service.ports import Float32Vector, Piece

Vector = Callable[[bytes, str], tuple[Future[Float32Vector], bool]]  # see `Reuse.vector`


def rows_of(draft: Draft, piece: Piece, vector: Vector) -> Iterator[Row]:
    """The piece's chunks that no earlier commit holds. Moves the draft on.

    Raises TryAgain where the chunks come out otherwise than those that are stored: the document starts again.
    """
    for ordinal, span in enumerate(piece.spans, piece.first_ordinal):
        text = piece.text[span.start - piece.start : span.stop - piece.start]
        digest = text_hash(text)
        draft.prefix.update(digest)
        draft.chunks += 1
        lead = _between(draft, span.start, piece)
        draft.text_end = max(draft.text_end, span.stop)
        if ordinal < draft.stored_chunks:
            _pass_stored(draft, ordinal)
            continue
        future, reused = vector(digest, text)
        prefix = draft.prefix.hexdigest()
        yield Row(draft, ordinal, span.start, span.stop, span.tokens, lead, text, prefix, future, reused)
    draft.tail = piece.text[draft.text_end - piece.start :]
    draft.ended = piece.last
    if draft.ended and draft.chunks < draft.stored_chunks:
        raise TryAgain("prefix_differs", draft.place.key)


def _pass_stored(draft: Draft, ordinal: int) -> None:
    """A chunk that an earlier commit holds; at the last of them, what came must equal what is stored."""
    draft.embedded += 1
    if ordinal == draft.stored_chunks - 1:
        draft.committed_prefix = draft.prefix.hexdigest()
        if draft.committed_prefix != draft.stored_prefix:
            raise TryAgain("prefix_differs", draft.place.key)


def _between(draft: Draft, start: int, piece: Piece) -> str:
    """The text between the draft's last chunk and the one that begins at `start`; empty where they overlap."""
    kept = draft.tail[: max(piece.start - draft.text_end, 0)]
    return kept + piece.text[max(draft.text_end - piece.start, 0) : start - piece.start]
