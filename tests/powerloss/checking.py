"""What must hold on a disk that a power cut has left: before anything is mended, and after the work is finished."""

import os
from pathlib import Path

from service.core.job import State
from service.index.files import StoredFile, verify
from service.ledger import collections, segments
from service.reader import Collection
from tests.engine.world import World
from tests.powerloss.disk import Tree
from tests.powerloss.recording import Promises
from tests.powerloss.scenes import Scene, opened

RUNNING = {State.QUEUED, State.RUNNING, State.INTERRUPTED, State.SUCCEEDED}
HELD = {State.PAUSING, State.PAUSED}


def lay_out(tree: Tree, library: Path, folder: Path) -> Path:
    """Make the disk's files, beside the scene's own library: a copied one would be a changed one."""
    folder.mkdir()
    (folder / "library").symlink_to(library)
    for path in sorted(tree):
        content = tree[path]
        if content is None:
            os.mkdir(folder / path)
        else:
            (folder / path).write_bytes(content)
    return folder


def check_what_was_promised(folder: Path, promises: Promises) -> None:
    """What callers were told is so, before any repair."""
    start = promises.told.get("start", 0)
    if promises.published or start:
        published = Collection.open(folder / "data/collections/docs").snapshot().generation
        assert published >= start + promises.published, f"readers are back at generation {published}"
    with opened(folder) as world:
        _check_commits(world, start + promises.commits)
        _check_told(world, promises)


def _check_commits(world: World, generation: int) -> None:
    """All commits that counted for somebody are there, and every file of theirs is whole."""
    if not generation:
        return
    with world.ledger.read() as c:
        row = collections.by_name(c, "docs")
        live = segments.live(c, row.id)
        points = segments.hashes_of_checkpoints(c, row.id)
    assert row.generation >= generation, f"generation {row.generation} instead of {generation}"
    for file in (file for segment in live for file in (segment.faiss, segment.chunks, segment.live) if file):
        verify(world.files, StoredFile(**file))
    for point in points:
        path = world.files / point.file
        verify(world.files, StoredFile(point.file, point.sha256, path.stat().st_size))


def _check_told(world: World, promises: Promises) -> None:
    told = promises.told
    if "job" not in told:
        return
    job = world.jobs.get(told["job"])
    if told.get("state"):
        assert job["state"] == told["state"]
    if told.get("wish"):
        assert job["state"] in (HELD if told["wish"] == "paused" else RUNNING), job["state"]


def check_the_end(folder: Path, scene: Scene) -> None:
    """Start again and finish: the end is that of a run that nothing interrupted."""
    with opened(folder) as world:
        scene.finish(world)
    scene.check(folder)
