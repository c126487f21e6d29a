"""The table of phases: a folder to begin with, what is done to it, and how that ends.

A colleague's work is tested against crashes by one more entry here, and nowhere else.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from service.core.upkeep import Kind
from service.ledger import segments
from service.ledger.collections import by_name
from service.selftest.deeds import look_again, settle, take_up, tend
from service.selftest.documents import SETTINGS, change, fill
from service.selftest.world import OLD, World

Deed = Callable[[World], Any]


def _nothing(_: World) -> None:
    pass


@dataclass(frozen=True, slots=True)
class Phase:
    """Its end must be the same whether or not the act was struck on the way.

    `act` is what a victim does, and each of its successors after it: a command that may be given again, such as
    `take_up` (the unfinished job) or `tend` (the maintenance that is ordered). It must not touch the library.
    """

    name: str
    prepare: Deed  # once, in an empty folder that every blow gets a copy of
    act: Deed = take_up
    crash: str = ""  # arms an act that dies of it after `prepare`: then the next one begins with a recovery
    spoil: Deed = _nothing  # after that crash: damage from outside
    settle: Deed = settle  # in the end, undisturbed; then all must be as in an uninterrupted run
    again: Deed = look_again  # a last start-up, which removes what somebody frozen has left; then all files must be so too
    settings: Mapping[str, Any] = field(default_factory=lambda: SETTINGS)


def first(world: World) -> None:
    """An empty collection, and a job for a library of small, large and record files."""
    fill(world)
    world.jobs.create(world.order())


def later(world: World) -> None:
    """A collection, and a job that finds files added, changed, moved and removed, and records of each kind."""
    full(world)
    change(world)
    world.jobs.create(world.order())


def half_done(world: World) -> None:
    """As `later`, where some of a segment's rows are dead from before."""
    full(world)
    world.write("b/y3.txt", "b/y3, another text", OLD + 50)
    world.run()
    change(world)
    world.jobs.create(world.order())


def full(world: World) -> None:
    """A collection, and nothing to do."""
    fill(world)
    world.run()


def crowded(world: World) -> None:
    """More segments than there may be from now on, some with dead rows, and a job with little to do."""
    world.configure(max_live_segments=64, segment_rows=4)
    full(world)
    world.write("a/x0.txt", "a/x0, another part\n\na/x0, one more", OLD + 100)
    world.jobs.create(world.order())


def to_be_repaired(world: World) -> None:
    """A collection whose repair is ordered."""
    full(world)
    world.orders.place("docs", Kind.REPAIR)


def merged_outside(world: World) -> None:
    """A large merge has been made outside the lease, and waits to be taken in."""
    full(world)
    with world.ledger.read() as c:
        row = by_name(c, "docs")
    assert world.merger.merge_one(row, world.stop) is not None


def litter(world: World) -> None:
    """Whatever else a start-up mends: a lost commit record, a damaged live file and manifest, a stranger's file."""
    (world.files / "segments" / "stranger.faiss").write_bytes(b"unknown")
    (world.files / "manifest.json").write_bytes(b"{}")
    sorted((world.files / "commits").iterdir())[1].unlink()
    flip(next(world.files / row.live["name"] for row in _live(world) if row.live))


def flip_oldest_vectors(world: World) -> None:
    """A segment that is in use, with documents that nobody has touched, is damaged."""
    flip(world.files / _live(world)[0].faiss["name"])


def flip(path: Path) -> None:
    """Change a byte in the middle of a file."""
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0x10
    path.write_bytes(data)


def _live(world: World) -> list[Any]:
    with world.ledger.read() as c:
        return list(segments.live(c, by_name(c, "docs").id))


PHASES = (
    Phase("first", first),
    Phase("later", later),
    Phase("startup", half_done, crash="commit.synced=kill@2", spoil=litter),
    Phase("damage", later, crash="publish.after=kill@2", spoil=flip_oldest_vectors),
    Phase("repair", to_be_repaired, act=tend, spoil=flip_oldest_vectors),
    Phase("merge", crowded, settings={**SETTINGS, "max_live_segments": 3}),
    Phase(
        "compact", merged_outside, act=tend, settings={**SETTINGS, "max_live_segments": 64, "merged_rows": 96}
    ),
)
NAMED = {phase.name: phase for phase in PHASES}

# Points that no phase passes, each with the reason.
NOT_PASSED: Mapping[str, str] = {}
