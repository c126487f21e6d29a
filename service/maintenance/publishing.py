"""Publish before a task says that it is done: its result is about what readers see."""

import time

from service.engine.publish import publish
from service.errors import TryAgain
from service.maintenance.work import Work

_AGAIN_SECONDS = 0.25
_TRIES = 40


def publish_for_certain(work: Work) -> None:
    """Return when the newest generation is out. Raises TryAgain when the manifest cannot be replaced for long."""
    holding = work.holding
    for _ in range(_TRIES):
        if holding.state.published >= holding.state.generation:
            return
        if not publish(holding.ledger, holding.lease, holding.state):
            work.check()
            time.sleep(_AGAIN_SECONDS)
    raise TryAgain("publish_failing", f"{holding.state.folder / 'manifest.json'} cannot be replaced")
