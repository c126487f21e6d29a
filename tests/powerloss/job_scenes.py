"""Scenes of ingestion: first, later, with wishes, and after processes that were killed."""

import shutil
from pathlib import Path

from service.core.job import State, Verb
from service.selftest.victims import take_up
from tests.engine.stories import check_that_nothing_is_lost_or_doubled, later_run, library
from tests.powerloss.checking import check_the_same_end, check_what_was_promised, opened
from tests.powerloss.recording import Promises
from tests.powerloss.scene import Scene, Step, Tell

STRAY = "segments/notes.txt"  # nobody knows whose
DAMAGE = b"????"


def only_a_library(folder: Path) -> None:
    """Documents, and not even a data folder."""
    library(folder).ledger.close()
    shutil.rmtree(folder / "data")


def a_later_job(folder: Path) -> None:
    """A collection, and a job for what was changed, moved and removed since."""
    later_run(folder)


def damaged(folder: Path) -> None:
    """The same with a file that nobody knows, a damaged segment, and a commit record too few."""
    later_run(folder)
    docs = folder / "data/collections/docs"
    (docs / STRAY).write_text("Nothing is deleted on a guess.")
    vectors = sorted((docs / "segments").glob("*.faiss"))[1]
    vectors.write_bytes(vectors.read_bytes()[: -len(DAMAGE)] + DAMAGE)
    sorted((docs / "commits").iterdir())[1].unlink()


def ingest(folder: Path, tell: Tell) -> None:
    """Create the job if there is none, and see it through."""
    with opened(folder) as world:
        job = world.jobs.find(world.order()) or world.jobs.create(world.order())
        tell(job=job["id"])
        take_up(world)
        tell(state=world.jobs.get(job["id"])["state"])


def pause_and_resume(folder: Path, tell: Tell) -> None:
    """Begin paused, resume, pause, and resume: each wish is told once it is stored."""
    with opened(folder) as world:
        job = world.jobs.create(world.order(start_paused=True))["id"]
        tell(wish="paused", job=job)
        for verb, wish in ((Verb.RESUME, "running"), (Verb.PAUSE, "paused"), (Verb.RESUME, "running")):
            tell(wish="")  # from here on either may be found
            world.jobs.ask(job, verb)
            tell(wish=wish)
        take_up(world)


def only_a_folder(folder: Path, tell: Tell) -> None:
    """A process that ended before it had synced the name of the data folder that it made."""
    (folder / "data").mkdir()


def the_same_again(folder: Path) -> None:
    """What a user does after a power cut: the same command again."""
    with opened(folder) as world:
        job = world.jobs.find(world.order()) or world.jobs.create(world.order())
        if job["state"] == State.PAUSED:
            world.jobs.ask(job["id"], Verb.RESUME)
        take_up(world)
        job = world.jobs.find(world.order())
        assert job is not None
        assert job["state"] == "succeeded", job["reason"]


def check_that_the_stray_is_somewhere(folder: Path, promises: Promises) -> None:
    """What is not understood is never lost, and all is well once the job has succeeded."""
    docs = folder / "data/collections/docs"
    places = [docs / STRAY, *docs.glob("quarantine/notes.txt*")]
    assert next(path.read_text() for path in places if path.exists()) == "Nothing is deleted on a guess."
    vectors = [*docs.glob("segments/*.faiss"), *docs.glob("quarantine/*.faiss*")]
    assert any(path.read_bytes().endswith(DAMAGE) for path in vectors), "the damaged file is gone"
    if promises.told.get("state"):
        check_what_was_promised(folder, promises)


def _job(before: object, *steps: Step) -> Scene:
    return Scene(before, steps, the_same_again, check_that_nothing_is_lost_or_doubled)  # type: ignore[arg-type]


JOB_SCENES = {
    "first": _job(only_a_library, Step(ingest)),
    "later": _job(a_later_job, Step(ingest)),
    "wishes": _job(only_a_library, Step(pause_and_resume)),
    "killed at birth": _job(
        only_a_library,
        Step(only_a_folder),
        Step(ingest, "folder.unsynced=kill@1"),
        Step(ingest, "folder.unsynced=kill@1"),
        Step(ingest, "file.written=kill@1"),
        Step(ingest),
    ),
    "killed in a commit": _job(
        a_later_job,
        Step(ingest, "commit.synced=kill@2"),
        Step(ingest, "manifest.replaced=kill@2"),
        Step(ingest),
    ),
    "damaged": Scene(
        damaged, [Step(ingest)], the_same_again, check_the_same_end, check_that_the_stray_is_somewhere
    ),
}
