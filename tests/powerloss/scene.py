"""A scene: something during which power may fail."""

import signal
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.powerloss.checking import check_what_was_promised
from tests.powerloss.recording import Promises

Tell = Callable[..., None]


@dataclass(frozen=True)
class Step:
    """One process: what it does and tells, and where it is killed, if it is."""

    act: Callable[[Path, Tell], None]
    arm: str = ""

    @property
    def ends(self) -> int:
        """How: 0, or minus a signal."""
        return -signal.SIGKILL if self.arm else 0


@dataclass(frozen=True)
class Scene:
    """`before` and `steps` are played, and power may fail during the steps; the rest is for what it leaves.

    `promised` compares with what callers were told, before anything is mended; `finish` is what a user or a service
    does then; `check` looks at the end. All work on the folder that holds library and data.
    """

    before: Callable[[Path], None]
    steps: Sequence[Step]
    finish: Callable[[Path], None]
    check: Callable[[Path], None]
    promised: Callable[[Path, Promises], None] = check_what_was_promised
