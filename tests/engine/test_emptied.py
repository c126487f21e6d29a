"""Files that are still there and have lost what was in them count for the guard as if they were gone."""

import json
import os
from typing import Any

import pytest

from tests.engine.world import World

CHANGED = 1_700_000_000


@pytest.fixture
def filled(world: World) -> World:
    for n in range(10):
        world.write(f"{n}.txt", f"document number {n}\n\nits second part {n}")
    lines = [{"id": str(n), "text": f"record {n} says so"} for n in range(5)]
    world.write("log.jsonl", "\n".join(map(json.dumps, lines)))
    world.write("empty.txt", "")
    world.run()
    return world


def empty(world: World, *names: str) -> set[tuple[str, int, str]]:
    """Empties files; what was in before."""
    before = world.contents()
    for name in names:
        world.write(name, "", mtime=CHANGED)
    return before


def test_many_emptied_files_are_kept_until_their_digest_is_confirmed(filled: World) -> None:
    before = empty(filled, "0.txt", "1.txt", "log.jsonl", "empty.txt")
    planned = filled.planner.plan(filled.order())["remove"]
    job = filled.run()
    assert (job["state"], job["deletes_withheld"]["count"]) == ("completed_with_errors", 7)
    assert filled.contents() == before
    assert job["progress"]["settled"] == job["progress"]["total"]
    assert (planned["documents"], planned["withheld"]) == (7, True)
    assert planned["digest"] == job["deletes_withheld"]["digest"]
    again: dict[str, Any] = filled.run()
    assert again["deletes_withheld"] == job["deletes_withheld"]
    done = filled.run(deletes="confirmed", deletes_digest=planned["digest"])
    assert done["state"] == "succeeded"
    assert filled.contents() == filled.expected() != before
    assert filled.verify()["valid"]


def test_they_count_together_with_what_is_gone(filled: World) -> None:
    before = empty(filled, "0.txt", "1.txt")
    for n in (2, 3):
        (filled.library / f"{n}.txt").unlink()
    assert filled.run()["deletes_withheld"]["count"] == 4
    assert filled.contents() == before


def test_few_are_taken_at_their_word(filled: World) -> None:
    empty(filled, "0.txt", "1.txt")
    assert filled.run()["state"] == "succeeded"
    assert filled.contents() == filled.expected()


def test_what_was_empty_before_takes_nothing_away(filled: World) -> None:
    for n in range(9):
        filled.write(f"new{n}.txt", "")
    filled.run()
    assert filled.run(mode="fresh")["deletes_withheld"] is None


NOT_TEXT = b"\xff\xfe\x00 nobody can read this"


def spoil(world: World, *names: str) -> None:
    """What ransomware, or a broken export, leaves of files."""
    for name in names:
        world.write(name, "", mtime=CHANGED).write_bytes(NOT_TEXT)
        os.utime(world.library / name, (CHANGED, CHANGED))


def records(world: World, *numbers: int, text: str = "record {} says so") -> None:
    lines = [{"id": str(n), "text": text.format(n)} for n in numbers]
    world.write("log.jsonl", "\n".join(map(json.dumps, lines)), mtime=CHANGED)


def confirm(world: World, job: dict[str, Any]) -> dict[str, Any]:
    return world.run(deletes="confirmed", deletes_digest=job["deletes_withheld"]["digest"])


def test_many_files_that_are_no_text_any_more_are_kept_until_their_digest_is_confirmed(filled: World) -> None:
    before = filled.contents()
    spoil(filled, "0.txt", "1.txt", "log.jsonl")
    filled.write("new.txt", "a document that is new", mtime=CHANGED)
    job = filled.run()
    assert (job["state"], job["deletes_withheld"]["count"]) == ("completed_with_errors", 7)
    assert job["progress"]["settled"] == job["progress"]["total"] == 13
    assert filled.contents() == before | {("library/new.txt", 0, "a document that is new")}
    assert filled.run()["deletes_withheld"] == job["deletes_withheld"]
    done = confirm(filled, job)
    assert (done["state"], done["progress"]["skipped"]) == ("succeeded", 3)
    assert {key for key, *_ in filled.contents()} == {f"library/{n}.txt" for n in (*range(2, 10), "new")}
    assert filled.verify()["valid"]
    assert filled.run()["progress"]["unchanged"] == 13


def test_few_of_them_are_taken_at_their_word(filled: World) -> None:
    spoil(filled, "0.txt", "1.txt")
    assert filled.run()["state"] == "succeeded"
    assert {key for key, *_ in filled.contents()} >= {"library/2.txt", "library/log.jsonl#4"}
    assert "library/0.txt" not in {key for key, *_ in filled.contents()}


def test_records_that_a_file_has_lost_are_kept_and_new_ones_come_in(filled: World) -> None:
    before = filled.contents()
    records(filled, 0, 9)
    filled.write("new.txt", "a document that is new", mtime=CHANGED)
    (filled.library / "0.txt").unlink()
    job = filled.run()  # one file and four of five records, of fifteen documents
    assert job["deletes_withheld"]["count"] == 4
    new = {("library/log.jsonl#9", 0, "record 9 says so"), ("library/new.txt", 0, "a document that is new")}
    gone = {part for part in before if part[0] == "library/0.txt"}
    assert filled.contents() == (before - gone) | new
    assert filled.run()["deletes_withheld"] == job["deletes_withheld"]
    assert confirm(filled, job)["state"] == "succeeded"
    assert filled.contents() == filled.expected()


def test_as_many_records_under_other_names_are_a_change(filled: World) -> None:
    records(filled, 5, 6, 7, 8, 9)
    assert filled.run()["state"] == "succeeded"
    assert filled.contents() == filled.expected()


@pytest.mark.parametrize("blank", [(0,), (0, 1, 2, 3)])
def test_records_that_say_nothing_any_more_count_too(filled: World, blank: tuple[int, ...]) -> None:
    before = filled.contents()
    lines = [{"id": str(n), "text": "" if n in blank else f"record {n} says so"} for n in range(5)]
    filled.write("log.jsonl", "\n".join(map(json.dumps, lines)), mtime=CHANGED)
    job = filled.run()
    blanked = {part for part in before if part[0] in {f"library/log.jsonl#{n}" for n in blank}}
    if len(blank) == 1:
        assert (job["state"], filled.contents()) == ("succeeded", before - blanked)
        return
    assert (job["deletes_withheld"]["count"], filled.contents()) == (4, before)
    assert confirm(filled, job)["state"] == "succeeded"
    assert filled.contents() == before - blanked


def test_what_is_listed_and_what_is_found_only_by_reading_count_together(filled: World) -> None:
    before = filled.contents()
    for n in (2, 3):
        (filled.library / f"{n}.txt").unlink()
    spoil(filled, "0.txt", "1.txt")
    job = filled.run()
    assert job["deletes_withheld"]["count"] == 2  # the vanished ones alone were few enough
    assert filled.contents() == {part for part in before if part[0] not in ("library/2.txt", "library/3.txt")}
    assert confirm(filled, job)["state"] == "succeeded"


def test_one_digest_confirms_both(filled: World) -> None:
    before = empty(filled, "0.txt", "1.txt", "2.txt", "3.txt")
    spoil(filled, "4.txt", "5.txt")
    job = filled.run()
    assert (job["deletes_withheld"]["count"], filled.contents()) == (6, before)
    assert confirm(filled, job)["state"] == "succeeded"
    assert filled.contents() == {
        part for part in before if part[0] not in {f"library/{n}.txt" for n in range(6)}
    }


@pytest.mark.parametrize("spoilt", [1, 4])
def test_a_plan_confirms_what_it_has_seen(filled: World, spoilt: int) -> None:
    before = empty(filled, "0.txt", "1.txt", "2.txt", "3.txt")
    spoil(filled, *(f"{n}.txt" for n in range(4, 4 + spoilt)))
    planned = filled.planner.plan(filled.order())["remove"]
    job = filled.run(deletes="confirmed", deletes_digest=planned["digest"])
    gone = {f"library/{n}.txt" for n in range(5 if spoilt == 1 else 4)}
    assert filled.contents() == {part for part in before if part[0] not in gone}
    assert (job["deletes_withheld"] or {}).get("count", 0) == (0 if spoilt == 1 else 4)


def test_where_nothing_may_be_deleted_one_such_file_is_kept(filled: World) -> None:
    before = filled.contents()
    spoil(filled, "0.txt")
    assert filled.run(deletes="off")["deletes_withheld"]["count"] == 1
    assert filled.contents() == before


def test_a_file_that_is_its_old_self_again_has_nothing_new(filled: World) -> None:
    """Its stamp is that of the last reading that was finished; what has come in since goes again."""
    before = filled.contents()
    path = filled.library / "log.jsonl"
    kept, was = path.read_bytes(), path.stat().st_mtime_ns
    records(filled, 0, 9)
    assert filled.run()["deletes_withheld"]["count"] == 4
    assert filled.contents() != before
    path.write_bytes(kept)
    os.utime(path, ns=(was, was))
    assert filled.run()["state"] == "succeeded"
    assert filled.contents() == before
