"""Repair a collection without a job: what is damaged is taken out of use, and only its documents are done again."""

from service.engine.owner import MAINTENANCE
from service.engine.publish import publish
from service.engine.recover import recover
from service.engine.repair import take_out
from service.maintenance.work import Result, Work


def run(work: Work) -> Result:
    """Climb the start-up ladder; what was found and done. Raises Refused where a person has to choose."""
    holding = work.holding
    ledger, state = holding.ledger, holding.state
    damaged = recover(ledger, holding.lease, state)
    names = [segment.faiss.name for segment in damaged]
    if damaged:
        take_out(ledger, holding.committer, state, MAINTENANCE, damaged)
    elif state.generation:
        publish(ledger, holding.lease, state)
    return {"generation": state.generation, "segments_taken_out": names}
