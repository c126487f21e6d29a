"""What a process of the self-test does in a world: the same commands again, as a person or a supervisor gives them."""

import os
import time
from contextlib import suppress

from service.core.job import UNFINISHED, State, Verb
from service.core.upkeep import OPEN
from service.engine.lease import Observer
from service.engine.sweep import sweep
from service.errors import IllegalMove
from service.ledger import collections
from service.selftest.world import World

MOST_SECONDS = 60.0  # that work may have to wait for a passing condition before it counts as stuck


def take_up(world: World, dead_seconds: float = 0.0) -> bool:
    """Settle the job of a dead worker, resume it, and see it through as a new worker would; False: there is none."""
    sweep(world.ledger, Observer(dead_seconds), world.settings)
    for job in world.jobs.listing(state=State.INTERRUPTED)["jobs"]:
        with suppress(IllegalMove):  # somebody else was faster
            world.jobs.ask(job["id"], Verb.RESUME)
    return world.worker(_name(), dead_seconds).take_one()


def tend(world: World) -> bool:
    """Do the maintenance that is waiting, as a new worker would; False: there is none."""
    return world.keeper(0.0).serve_idle(_name(), world.stop)


def merge_outside(world: World) -> bool:
    """Make a large merge beside the work, if there is one to make, and take it in; False: there was nothing to do."""
    with world.ledger.read() as c:
        [collection] = collections.listing(c)
    made = world.merger.merge_one(collection, world.stop)
    return tend(world) or made is not None


def settle(world: World) -> None:
    """See through what is unfinished, until nothing is, or for so long that it counts as stuck."""
    tend(world)
    deadline = time.monotonic() + MOST_SECONDS
    while _is_unfinished(world) and time.monotonic() < deadline:
        if not tend(world) and not take_up(world):
            time.sleep(0.05)


def settle_with_merges(world: World) -> None:
    """The same, and a merge that its maker has not lived to order is made again."""
    merge_outside(world)
    settle(world)


def look_again(world: World) -> None:
    """Ingest the library once more, which has not changed: a start-up, and nothing to do."""
    if not _is_unfinished(world):
        world.jobs.create(world.order())
        take_up(world)


def _is_unfinished(world: World) -> bool:
    jobs = world.jobs.listing()["jobs"]
    tasks = world.orders.listing()["tasks"]
    return any(State(job["state"]) in UNFINISHED for job in jobs) or any(
        task["state"] in OPEN for task in tasks
    )


def _name() -> str:
    return f"worker-{os.getpid()}"
