"""Two runs to interrupt: a first one, and a later one that meets every kind of change."""

import shutil
from pathlib import Path

from service.index.commit_record import CommitRecord, read_chain
from service.index.manifest import NAME as MANIFEST
from service.ledger import documents, segments, versions
from service.ledger.collections import by_name
from service.selftest.documents import SETTINGS, change, fill
from tests.engine.world import World

AT_THE_TOP = {"collection.json", MANIFEST, "publish.lock", "writer.lock", "segments", "commits", "quarantine"}


class Story:
    """A folder that stands just before a run; `copy` gives each test its own."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def copy(self, to: Path) -> Path:
        """Ledger and files are copied; the library is shared, since a copied file is a changed file."""
        to.mkdir(parents=True)
        (to / "library").symlink_to(self._folder / "library")
        shutil.copytree(self._folder / "data", to / "data")
        return to


def first_run(folder: Path) -> Story:
    """An empty collection, and a job for a library of small, large and record files."""
    world = library(folder)
    world.jobs.create(world.order())
    world.ledger.close()
    return Story(folder)


def later_run(folder: Path) -> Story:
    """A collection, and a job that finds files added, changed, moved and removed, and records of each kind."""
    world = library(folder)
    world.configure(**SETTINGS)
    assert world.run()["state"] == "succeeded"
    change(world)
    world.jobs.create(world.order())
    world.ledger.close()
    return Story(folder)


def library(folder: Path) -> World:
    """Small, large and record files, and no collection."""
    folder.mkdir(exist_ok=True)
    world = World(folder)
    fill(world)
    return world


def check_that_nothing_is_lost_or_doubled(folder: Path) -> None:
    """Contents, files, numbers and counters are those of a run that nothing interrupted."""
    world = World(folder)
    try:
        assert world.contents() == world.expected()
        report = world.verify()
        assert report["valid"], report
        _check_files(world)
        _check_numbers(world)
        _check_job(world)
    finally:
        world.ledger.close()


def dump(world: World) -> set[tuple[str, str]]:
    """Every row of the ledger: (table, its values)."""
    with world.ledger.read() as c:
        names = c.exec_driver_sql("SELECT name FROM sqlite_master WHERE type = 'table'").scalars().all()
        return {(name, repr(row)) for name in names for row in c.exec_driver_sql(f"SELECT * FROM {name}")}


def _check_files(world: World) -> None:
    with world.ledger.read() as c:
        collection = by_name(c, "docs").id
        known = segments.known_files(c, collection) | segments.names_of_checkpoints(c, collection)
    found = {str(path.relative_to(world.files)) for path in world.files.rglob("*") if path.is_file()}
    assert {name for name in found if "/" in name} == known
    assert {path.name for path in world.files.iterdir()} == AT_THE_TOP


def _check_numbers(world: World) -> None:
    """A document keeps its number for good, and no number ever stood for two documents."""
    said = [pair for record in chain(world) for pair in _numbered(record)]
    numbers = dict(said)
    keys = {key: number for number, key in said}
    assert len(numbers) == len(keys) == len(set(said))
    with world.ledger.read() as c:
        row = by_name(c, "docs")
        live = list(versions.live(c, row.id))
        counted = documents.count_by_state(c, row.id)
    assert {version.key for version in live} == {key for key, _, _ in world.expected()}
    assert {version.key: version.doc_id for version in live}.items() <= keys.items()
    assert row.documents == len(live) == counted["indexed"]
    assert row.vectors == len(world.expected())
    assert row.generation == row.published_generation


def _numbered(record: CommitRecord) -> list[tuple[int, str]]:
    return [(said["doc_id"], said["key"]) for said in (*record.versions_added, *record.documents)]


def _check_job(world: World) -> None:
    job = world.jobs.find(world.order())
    assert job is not None
    assert job["state"] == "succeeded", job
    progress = job["progress"]
    files = sum(1 for path in world.library.rglob("*") if path.is_file())
    assert (progress["discovered"], progress["total"], progress["settled"]) == (files, files, files)
    assert (progress["skipped"], progress["failed"], progress["known_failed"]) == (0, 0, 0)
    mine = [record for record in chain(world) if record.job == job["id"] and record.kind != "merge"]
    written = sum(segment["rows"] for record in mine for segment in record.segments_opened)
    assert progress["chunks"] == written


def chain(world: World) -> list[CommitRecord]:
    """The commit records that count, from the first on."""
    return list(read_chain(world.files).records)
