"""Deleting any one of these makes a named test red."""

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PATIENCE_SECONDS = 120


@dataclass(frozen=True)
class Guard:
    """A protection: where it is, what is left when it is deleted, and who notices."""

    name: str
    file: str
    text: str
    left: str
    test: str


GUARDS = [
    Guard(
        name="fsync of a file",
        file="service/index/files.py",
        text="        os.fsync(descriptor)\n        undo.pop_all()\n",
        left="        undo.pop_all()\n",
        test="tests/engine/test_durable.py::test_every_file_of_a_commit_is_synced_before_the_ledger_names_it",
    ),
    Guard(
        name="fsync of the folder",
        file="service/index/files.py",
        text="    try:\n        os.fsync(descriptor)\n    finally:\n",
        left="    try:\n        pass\n    finally:\n",
        test="tests/engine/test_durable.py::"
        "test_every_folder_is_synced_after_its_files_and_before_the_ledger_names_them",
    ),
    Guard(
        name="the token check",
        file="service/ledger/leases.py",
        text="    if changed != 1:\n        raise LeaseLost",
        left="    if changed is None:\n        raise LeaseLost",
        test="tests/engine/test_zombies.py::test_a_zombie_changes_nothing[ledger.before]",
    ),
    Guard(
        name="the hash check",
        file="service/index/files.py",
        text="    if (digest, size) != (stored.sha256, stored.bytes):\n",
        left="    if size != stored.bytes:\n",
        test="tests/engine/test_damage.py::"
        "test_a_flipped_byte_is_named_and_only_what_it_held_is_done_again[*.faiss]",
    ),
    Guard(
        name="exclusive creation",
        file="service/index/files.py",
        text="os.O_WRONLY | os.O_CREAT | os.O_EXCL",
        left="os.O_WRONLY | os.O_CREAT | os.O_TRUNC",
        test="tests/index/test_files.py::test_nothing_is_ever_replaced",
    ),
    Guard(
        name="the prefix check on resume",
        file="service/engine/rows.py",
        text="        if draft.committed_prefix != draft.stored_prefix:\n"
        '            raise TryAgain("prefix_differs", draft.place.key)\n',
        left="",
        test="tests/engine/test_half_done.py::"
        "test_chunks_that_come_out_otherwise_than_the_stored_ones_start_the_document_again",
    ),
    Guard(
        name="the read of known names before a folder is listed",
        file="service/engine/comparing.py",
        text="            before = known.folder(path, waiting)\n"
        "            for part in distinct(self.source.scan(path, self.pulse)):\n",
        left="            parts = list(self.source.scan(path, self.pulse))\n"
        "            before = known.folder(path, waiting)\n"
        "            for part in parts:\n",
        test="tests/engine/test_meanwhile.py::"
        "test_what_is_committed_during_a_listing_is_not_taken_for_vanished[kept]",
    ),
]

FOUND_BY_KILLING = [  # what the tests of crashes have taught
    Guard(
        name="the generation up to which names of vanished folders count",
        file="service/ledger/documents.py",
        text="where(mine, old).order_by",
        left="where(mine).order_by",
        test="tests/engine/test_meanwhile.py::"
        "test_what_is_committed_during_a_listing_is_not_taken_for_vanished[gone]",
    ),
    Guard(
        name="a record file counts as read after its last record",
        file="service/engine/intake.py",
        text="        whole = open_item.whole_draft\n        if whole is not None:\n",
        left="        if read.container:\n"
        '            facts = {"stamp": read.stamp, "file_sha256": read.sha256}\n'
        '            open_item.change(self.gathered.batch, "", {**facts, "state": "container"})\n'
        "        whole = open_item.whole_draft\n        if whole is not None:\n",
        test="tests/engine/test_half_done.py::test_records_are_in_before_their_file_counts_as_read",
    ),
    Guard(
        name="a record file that is half in is not trusted",
        file="service/engine/intake.py",
        text="                self._note_half_in(open_item, batch)\n",
        left="                pass\n",
        test="tests/engine/test_half_done.py::"
        "test_a_record_file_that_is_put_back_while_it_is_half_in_is_read_again",
    ),
    Guard(
        name="progress clears a document of the suspicion of killing its workers",
        file="service/engine/record.py",
        text="    items.progressed(c, [draft.item_id for draft in batch.unfinished])\n",
        left="",
        test="tests/engine/test_half_done.py::test_a_large_document_may_be_killed_at_every_one_of_its_commits",
    ),
    Guard(
        name="one item per file while damage is repaired",
        file="service/engine/repair.py",
        text=" if (f, n) not in waiting",
        left="",
        test="tests/engine/test_damage.py::test_a_repair_that_is_begun_twice_queues_a_file_once",
    ),
    Guard(
        name="rows of a version that was prepared anew are dead where it was prepared before",
        file="service/maintenance/switch.py",
        text="        alive &= (first[places] <= segment_id) & (segment_id <= last[places])\n",
        left="",
        test="tests/maintenance/test_reindex.py::test_a_damaged_prepared_segment_is_prepared_again",
    ),
    Guard(
        name="what is half in is not gone on with in another space",
        file="service/maintenance/switch.py",
        text="        preparations.abandon_unfinished(c, state.id)\n",
        left="",
        test="tests/maintenance/test_reindex.py::"
        "test_a_document_that_was_half_in_begins_again_in_the_new_space",
    ),
]


def test_all_these_tests_are_green_as_the_code_is(tmp_path: Path) -> None:
    copy_of_the_code(tmp_path)
    ended = run(tmp_path, *{guard.test for guard in GUARDS})
    assert ended.returncode == 0, ended.stdout


@pytest.mark.parametrize("guard", GUARDS, ids=lambda guard: guard.name)
def test_deleting_it_makes_its_test_red(guard: Guard, tmp_path: Path) -> None:
    delete_and_see_red(guard, tmp_path)


@pytest.mark.soak
@pytest.mark.parametrize("guard", FOUND_BY_KILLING, ids=lambda guard: guard.name)
def test_deleting_one_of_these_makes_its_test_red_too(guard: Guard, tmp_path: Path) -> None:
    delete_and_see_red(guard, tmp_path)


def delete_and_see_red(guard: Guard, tmp_path: Path) -> None:
    copy_of_the_code(tmp_path)
    path = tmp_path / guard.file
    code = path.read_text()
    assert code.count(guard.text) == 1, f"{guard.file} has changed: mend the table"
    path.write_text(code.replace(guard.text, guard.left))
    for compiled in (path.parent / "__pycache__").glob(f"{path.stem}.*"):
        compiled.unlink()
    ended = run(tmp_path, guard.test)
    assert ended.returncode == pytest.ExitCode.TESTS_FAILED, ended.stdout
    assert "1 failed" in ended.stdout, ended.stdout


def copy_of_the_code(folder: Path) -> None:
    for name in ("service", "tests"):
        passing = shutil.ignore_patterns("*.pyc.*")  # half-written, by another process that compiles just now
        shutil.copytree(ROOT / name, folder / name, ignore=passing)
    shutil.copy(ROOT / "pyproject.toml", folder)


def run(folder: Path, *tests: str) -> subprocess.CompletedProcess[str]:
    """Run some tests of a copy, which is found before any installed Tidestone."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *sorted(tests)]
    environment = {**os.environ, "PYTHONPATH": str(folder), "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run(
        command,
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=PATIENCE_SECONDS,
    )
