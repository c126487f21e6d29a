"""Before and after each job that counts, what is pinned, and the newest; inside a job nothing else."""

from datetime import UTC, datetime, timedelta

from service.core.retention import Point, Terms, retained

START = datetime(2026, 1, 1, tzinfo=UTC)


def at(days: float) -> str:
    return (START + timedelta(days=days)).isoformat(timespec="microseconds")


def history(said: str, pinned: tuple[int, ...] = ()) -> list[Point]:
    """One checkpoint a word and a day: "a" of job a, "+a" a merge in it, "withdraw" and the like maintenance."""
    points = []
    for number, word in enumerate(said.split(), 1):
        kind = "merge" if word.startswith("+") else "ingest" if len(word) == 1 else word
        job = word[-1] if len(word.lstrip("+")) == 1 else None
        points.append(Point(number, kind, job, at(number), number in pinned))
    return points


def kept(
    points: list[Point], jobs: int = 0, days: float = 0.5, newest: int = 1, published: int = 99
) -> list[int]:
    end = points[-1].generation if points else 0
    return sorted(retained(points, Terms(jobs, at(end - days), newest, published)))


def test_an_empty_collection_keeps_nothing_but_its_beginning() -> None:
    assert kept([]) == [0]


def test_before_and_after_each_of_the_last_jobs() -> None:
    points = history("a a a b b c c c")
    assert kept(points, jobs=1) == [5, 8]
    assert kept(points, jobs=2) == [3, 5, 8]
    assert kept(points, jobs=9) == [0, 3, 5, 8]


def test_and_of_what_ended_within_the_days() -> None:
    points = history("a a b b repair c c")
    assert kept(points, days=2.5) == [4, 5, 7]
    assert kept(points, days=3.5) == [2, 4, 5, 7]


def test_a_job_with_maintenance_in_between_is_one_job() -> None:
    points = history("a b withdraw b +b b c c")
    assert kept(points, jobs=2) == [1, 6, 8]


def test_merges_belong_to_whatever_they_come_in_and_count_for_nothing() -> None:
    points = history("a a +a +a b +b b merge")
    assert kept(points, jobs=1, days=-1) == [4, 7, 8]


def test_maintenance_of_one_kind_in_a_row_is_one_and_each_rollback_is_one() -> None:
    points = history("a withdraw withdraw withdraw rollback rollback b")
    assert kept(points, days=99) == [0, 1, 4, 5, 6, 7]


def test_what_is_pinned_stays() -> None:
    assert kept(history("a a a a b b", pinned=(2, 3)), jobs=1) == [2, 3, 4, 6]


def test_the_newest_stay_and_all_that_readers_may_be_loading() -> None:
    points = history("a a a a a a")
    assert kept(points, newest=3) == [0, 4, 5, 6]
    assert kept(points, published=2) == [0, 2, 3, 4, 5, 6]
    assert kept(points, newest=20) == [0, 1, 2, 3, 4, 5, 6]
