"""The table of phases: a folder to begin with, what is done to it, and how that ends.

Another kind of work is tested against crashes by one more entry here, and nowhere else.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from service.core.space import Space
from service.selftest import scenes
from service.selftest.deeds import (
    look_again,
    merge_outside,
    settle,
    settle_with_merges,
    take_up,
    tend,
)
from service.selftest.documents import SETTINGS
from service.selftest.fake_embedder import FAKE_SPACE, OTHER_SPACE
from service.selftest.keeping import (
    back_up_once,
    bring_back,
    move_into_rebuilt,
    move_into_restored,
    rebuild_once,
)
from service.selftest.world import World

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
    freezes: bool = True  # False: it works without a lease, so nobody takes over from a frozen one
    space: Space = FAKE_SPACE  # of the model that is configured from the act on


PHASES = (
    Phase("first", scenes.first),
    Phase("later", scenes.later),
    Phase(
        "startup",
        scenes.half_done,
        crash="commit.synced=kill@2",
        spoil=scenes.litter,
        settings={**SETTINGS, "max_live_segments": 64},
    ),
    Phase("withheld", scenes.doubtful),
    Phase("confirmed", scenes.doubtful_and_confirmed),
    Phase("damage", scenes.later, crash="publish.after=kill@2", spoil=scenes.flip_oldest_vectors),
    Phase("repair", scenes.to_be_repaired, act=tend, spoil=scenes.spoil_past_and_present),
    Phase("merge", scenes.crowded, settings={**SETTINGS, "max_live_segments": 3}),
    Phase(
        "compact",
        scenes.merged_outside,
        act=tend,
        settings={**SETTINGS, "max_live_segments": 64, "merged_rows": 96},
    ),
    Phase(
        "outside",
        scenes.full,
        act=merge_outside,
        settle=settle_with_merges,
        settings={**SETTINGS, "max_live_segments": 64, "merged_rows": 96, "approximate_above": 48},
    ),
    Phase("withdraw", scenes.to_be_withdrawn, act=tend),
    Phase("purge", scenes.to_be_purged, act=tend),
    Phase("rollback", scenes.going_back, act=tend),
    Phase("collect", scenes.to_be_collected, act=tend, settings={**SETTINGS, **scenes.FORGETFUL}),
    Phase("drop", scenes.to_be_deleted, act=tend),
    Phase("reindex", scenes.for_another_model, space=OTHER_SPACE),
    Phase("backup", scenes.later, act=back_up_once, settle=move_into_restored),
    Phase("restore", scenes.backed_up, act=bring_back, settle=move_into_restored),
    Phase("rebuild", scenes.without_a_ledger, act=rebuild_once, settle=move_into_rebuilt),
)
NAMED = {phase.name: phase for phase in PHASES}

# Points that no phase passes, each with the reason.
NOT_PASSED: Mapping[str, str] = {}
