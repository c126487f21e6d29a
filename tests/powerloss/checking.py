"""What must hold on a disk that a power cut has left: before anything is mended, and at the end."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from service.core.job import State
from service.index.files import StoredFile, verify
from service.ledger import collections, segments
from service.reader import Collection
from tests.engine.stories import SETTINGS
from tests.engine.world import World
from tests.powerloss.disk import Tree
from tests.powerloss.recording import Promises

RUNNING = {State.QUEUED, State.RUNNING, State.INTERRUPTED, State.SUCCEEDED}
HELD = {State.PAUSING, State.PAUSED}


@contextmanager
def opened(folder: Path) -> Iterator[World]:
    """The folder's world, with small batches and segments."""
    world = World(folder)
    world.configure(**SETTINGS)
    try:
        yield world
    finally:
        world.ledger.close()


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


def check_the_same_end(folder: Path) -> None:
    """Readers find what they find where nothing was interrupted: in the folder in which the scene was played."""
    played = (folder / "library").resolve().parent
    assert seen(folder) == seen(played)
    with opened(folder) as world:
        report = world.verify()
        assert report["valid"], report
        with world.ledger.read() as c:
            row = collections.by_name(c, "docs")
            files = segments.known_files(c, row.id) | segments.names_of_checkpoints(c, row.id)
        assert row.generation == row.published_generation
        found = {
            f"{p.parent.name}/{p.name}" for n in ("segments", "commits") for p in (world.files / n).iterdir()
        }
        assert found <= files
        aside = {path.name for path in (world.files / "quarantine").iterdir()}
        assert {Path(name).name for name in files - found} <= aside


def seen(folder: Path) -> set[tuple[str, int, str, bytes]]:
    """What readers find: (key, chunk number, chunk text, vector)."""
    rows = Collection.open(folder / "data/collections/docs").rows()
    found = [(row.key, row.ordinal, row.text, row.vector.tobytes()) for row in rows]
    assert len(found) == len(set(found)), "a chunk is there twice"
    return set(found)


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
    if "task" in told:
        state = world.orders.get(told["task"])["state"]
        assert not told.get("done") or state == "done", state
    if "job" in told:
        state = world.jobs.get(told["job"])["state"]
        assert told.get("state") in (None, state)
        if told.get("wish"):
            assert state in (HELD if told["wish"] == "paused" else RUNNING), state
