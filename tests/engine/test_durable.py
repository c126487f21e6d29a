"""What a commit names is on the disk before the ledger says so."""

import os
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from service.engine import commit, merge
from service.index.commit_record import CommitRecord
from tests.engine.stories import chain
from tests.engine.world import OLD, World


@dataclass
class Diary:
    """What was synced before each commit that counts, in order."""

    synced: list[Path] = field(default_factory=list)
    before_commits: list[list[Path]] = field(default_factory=list)

    def reach(self, point: str) -> None:
        if point == "ledger.before":
            self.before_commits.append(self.synced)
            self.synced = []


@pytest.fixture
def diary(monkeypatch: pytest.MonkeyPatch) -> Diary:
    kept = Diary()
    fsync = os.fsync

    def note(descriptor: int) -> None:
        fsync(descriptor)
        kept.synced.append(Path(os.readlink(f"/proc/self/fd/{descriptor}")))

    monkeypatch.setattr(os, "fsync", note)
    for module in (commit, merge):
        monkeypatch.setattr(module, "reach", kept.reach)
    return kept


@pytest.fixture
def commits(world: World, diary: Diary) -> list[tuple[list[Path], list[Path]]]:
    """Of each commit: the files that it names, and what was synced before it counted."""
    world.configure(batch_size=2, max_live_segments=3)
    for n in range(12):
        world.write(f"x{n}.txt", f"document {n}, part one\n\ndocument {n}, part two")
    world.run()
    world.write("x4.txt", "document 4, part one\n\nchanged", OLD + 100)
    world.run()
    records = chain(world)
    named = [[world.files / name for name in names_in(record)] for record in records]
    assert {path.suffix for paths in named for path in paths} == {".json", ".faiss", ".chunks", ".live"}
    assert "merge" in {record.kind for record in records}
    return list(zip(named, diary.before_commits, strict=True))


def names_in(record: CommitRecord) -> list[str]:
    opened = [segment[kind] for segment in record.segments_opened for kind in ("faiss", "chunks", "live")]
    lives = [change["live"] for change in record.live_files]
    return [record.name, *(file["name"] for file in opened + lives if file)]


def test_every_file_of_a_commit_is_synced_before_the_ledger_names_it(
    commits: list[tuple[list[Path], list[Path]]],
) -> None:
    for named, synced in commits:
        assert set(named) <= set(synced)


def test_every_folder_is_synced_after_its_files_and_before_the_ledger_names_them(
    commits: list[tuple[list[Path], list[Path]]],
) -> None:
    for named, synced in commits:
        for path in named:
            created = synced.index(path) if path in synced else 0
            assert path.parent in synced[created:]
