"""The self-test strikes everywhere, finds nothing in sound code, and leaves nothing behind."""

from pathlib import Path

import pytest

from service.failpoints import POINTS
from service.selftest.phases import NOT_PASSED, PHASES
from tests.selftest.running import report_of, selftest

pytestmark = pytest.mark.timeout(1800)  # a busy machine may take long; nothing else depends on its speed
NOTHING = {"lost": 0, "doubled": 0, "unreadable": 0, "manual": 0, "findings": []}


def test_a_short_run_strikes_in_every_phase_and_finds_nothing(tmp_path: Path) -> None:
    done = selftest("--crash", "--budget", "0", "--at-least", "63", "--folder", str(tmp_path), "--json")
    report = report_of(done)
    assert {name: report[name] for name in NOTHING} == NOTHING, done.stderr
    assert done.returncode == 0
    assert report["blows"] >= 63
    assert report["kills"] > report["freezes"] > 0
    assert report["repaired"] > 0
    assert min(report["phases"].values()) > 1, report["phases"]
    assert report["points_not_passed"] == []
    assert list(tmp_path.iterdir()) == []


def test_what_no_phase_passes_is_declared_and_has_a_reason() -> None:
    assert set(NOT_PASSED) <= set(POINTS)
    assert all(NOT_PASSED.values())


def test_phases_have_names_of_their_own() -> None:
    assert len({phase.name for phase in PHASES}) == len(PHASES)


def test_a_finding_is_repeated_by_the_words_in_which_it_was_printed() -> None:
    done = selftest("--crash", "--repeat", "repair:aside.before=kill@1,ledger.after=kill@1", "--json")
    report = report_of(done)
    assert (done.returncode, report["blows"], report["kills"], report["findings"]) == (0, 1, 2, [])


@pytest.mark.parametrize(
    "blow",
    [
        "drop:transaction.after=stop@1",  # it wakes with a lease of a collection that is gone
        "startup:aside.after=stop@1",  # it wakes with something to note that it may not note any more
    ],
)
def test_what_a_long_run_has_found_is_not_found_again(blow: str) -> None:
    done = selftest("--crash", "--repeat", blow, "--json")
    report = report_of(done)
    assert (done.returncode, report["freezes"], report["findings"]) == (0, 1, [])


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "selftest takes --crash"),
        (["--crash", "--repeat", "later:no.such=kill@1"], "is no blow"),
        (["--crash", "--repeat", "nowhere:ledger.before=kill@1"], "is no blow"),
        (["--crash", "--repeat", "later:ledger.before=stab@1"], "is no blow"),
    ],
)
def test_a_wrong_command_says_what_is_wrong(arguments: list[str], said: str) -> None:
    done = selftest(*arguments)
    assert done.returncode == 2
    assert said in done.stderr


def test_a_folder_that_is_not_there_is_refused() -> None:
    done = selftest("--crash", "--folder", "/no/such/folder")
    assert done.returncode == 1
    assert "cannot work in /no/such/folder" in done.stderr


@pytest.mark.soak
@pytest.mark.timeout(6 * 3600)
def test_ten_thousand_blows_lose_nothing_and_double_nothing() -> None:
    done = selftest("--crash", "--budget", "0", "--at-least", "10000", "--json")
    report = report_of(done)
    assert {name: report[name] for name in NOTHING} == NOTHING, done.stderr
    assert report["blows"] >= 10_000
    assert report["points_struck"] == report["points"]
