"""What earlier generations need is mended; where it cannot be, they are given up."""

from collections.abc import Sequence

from service.engine.giving_up import broken_spans, give_up
from service.engine.recover import do_without_codes, is_whole, mend_live
from service.engine.state import segment_of, stored
from service.index.files import put_aside
from service.ledger import events, segments
from service.ledger.database import AnyRow
from service.maintenance.work import Work


def mind_the_past(work: Work) -> int:
    """Hash what a rollback would need; the number of generations to which there is no way back any more.

    The newest generation is whole when this is called.
    """
    holding = work.holding
    ledger, state = holding.ledger, holding.state
    with ledger.read() as c:
        past = segments.past(c, state.id)
    _do_without_codes(work, past)
    broken = broken_spans(ledger, state, {span.segment_id for span in past})
    broken = [span for span in broken if not _is_mended(work, span)]
    if not broken:
        return 0
    # Files before ledger, as where a live segment is damaged.
    _put_aside(work, broken)
    with holding.lease.write() as c:
        lost = give_up(c, state.id, broken)
        said = {"generations": lost, "segments": sorted({span.faiss["name"] for span in broken})}
        events.record(c, "generations_given_up", said, collection_id=state.id)
    return lost


def _do_without_codes(work: Work, past: Sequence[AnyRow]) -> None:
    holding = work.holding
    for segment in {span.segment_id: segment_of(span) for span in past}.values():
        work.check()
        if segment.codes is not None and not is_whole(holding.state, segment.codes):
            do_without_codes(holding.lease, holding.state, segment)


def _is_mended(work: Work, span: AnyRow) -> bool:
    """A live file follows from the ledger, if the segment's rows are whole."""
    holding, segment = work.holding, segment_of(span)
    rows_are_whole = all(is_whole(holding.state, file) for file in (segment.faiss, segment.chunks))
    if segment.live is None or not rows_are_whole:
        return False
    work.check()
    try:
        return mend_live(holding.ledger, holding.lease, holding.state, segment, span.from_generation)
    finally:
        holding.state.forget(segment)


def _put_aside(work: Work, broken: Sequence[AnyRow]) -> None:
    """What is damaged; the rest of the same segments stays what it is until it is garbage."""
    state = work.holding.state
    named = [stored(file) for span in broken for file in (span.faiss, span.chunks, span.live) if file]
    for file in {file.name: file for file in named}.values():
        if (state.folder / file.name).exists() and not is_whole(state, file):
            put_aside(state.folder, file.name)
