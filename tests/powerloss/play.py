"""Play scenes, each step in a process of its own, and tell what is done; run under strace: see recording.py."""

import gc
import json
import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from service import failpoints
from service.index.manifest import read_manifest
from tests.engine.world import World
from tests.powerloss.scene import Step
from tests.powerloss.scenes import SCENES
from tests.powerloss.sites import WRITERS, sites

_TOLD = "told"


class Teller:
    """The line to the recording: what callers were told, and who asks for each sync."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / _TOLD
        self._descriptor = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        self._fsync = os.fsync

    def tell(self, **what: Any) -> None:
        """The caller has been told so."""
        os.write(self._descriptor, f"{json.dumps(what)}\n".encode())

    def begin(self, folder: Path) -> None:
        """From here on power may fail; readers see this generation."""
        os.write(self._descriptor, b"begin\n")
        published = read_manifest(folder / "data/collections/docs")
        self.tell(start=published.generation if published else 0)

    def label_syncs(self) -> None:
        """Say of each sync by Python code who asks for it."""
        os.fsync = self._labelled

    def _labelled(self, descriptor: int) -> None:
        os.write(self._descriptor, f"site {_site()}\n".encode())
        self._fsync(descriptor)


def _site() -> str:
    """The nearest place of the service above the writers. Raises KeyError where `sites` does not know it."""
    frame = sys._getframe(2)
    while frame.f_back is not None:
        module = str(frame.f_globals["__name__"])
        if module.startswith("service.") and module not in WRITERS:
            return sites()[module, frame.f_lineno]
        frame = frame.f_back
    return "elsewhere"


def _in_a_process(act: Callable[[], None], wanted: int) -> None:
    """Fork, act, and require this end: 0, or minus a signal."""
    pid = os.fork()
    if pid == 0:
        try:
            act()
        except BaseException:
            sys.excepthook(*sys.exc_info())
            os._exit(1)
        os._exit(0)
    _, status = os.waitpid(pid, 0)
    ended = os.waitstatus_to_exitcode(status)
    if ended != wanted:
        raise SystemExit(f"a step ended with {ended} instead of {wanted}")


def _play_step(folder: Path, teller: Teller, step: Step) -> None:
    failpoints.arm(",".join(filter(None, (f"record={teller.path}", step.arm))))
    teller.label_syncs()
    step.act(folder, teller.tell)


def _warm_up() -> None:
    with tempfile.TemporaryDirectory() as folder:
        world = World(Path(folder))
        world.write("a.txt", "one document")
        world.run()
        world.ledger.close()
    gc.freeze()


def _main() -> None:
    folder, names = Path(sys.argv[1]), sys.argv[2:]
    _in_a_process(_warm_up, 0)
    for name in names:
        scene, place = SCENES[name], folder / name
        place.mkdir()
        teller = Teller(place)
        _in_a_process(lambda scene=scene, place=place: scene.before(place), 0)
        teller.begin(place)
        for step in scene.steps:
            _in_a_process(lambda p=place, t=teller, s=step: _play_step(p, t, s), step.ends)


if __name__ == "__main__":
    _main()
