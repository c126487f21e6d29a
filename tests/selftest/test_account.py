"""What differs between two endings gets the right name."""

from copy import deepcopy
from typing import Any

import pytest

from service.selftest.account import faults

COLLECTION: dict[str, Any] = {
    "rows": [["a", 0, "x"], ["a", 1, "y"]],
    "problems": [],
    "searchable": {"a": 2},
    "ledger": {"a": 2},
    "states": {"a": "indexed"},
    "numbers": [1, 2, 0],
    "foreign": ["manifest.json"],
    "quarantine": [],
}
ACCOUNT: dict[str, Any] = {
    "collections": {"docs": COLLECTION},
    "jobs": [["succeeded", 0, 0]],
    "tasks": [],
    "taken out": 0,
    "beside": ["tidestone.db"],
}
TRUTH = {"settled": ACCOUNT, "again": ACCOUNT}


def kinds(*changes: tuple[str, Any], of: tuple[str, ...] = ("settled", "again")) -> set[str]:
    """Which faults an ending has that differs from the truth in this."""
    found = {account: deepcopy(ACCOUNT) for account in TRUTH}
    for account in of:
        for name, value in changes:
            mine = found[account]["collections"]["docs"] if name in COLLECTION else found[account]
            mine[name] = value
    return {kind for kind, _ in faults(found, TRUTH)}


def test_the_same_ending_has_no_fault() -> None:
    assert kinds() == set()


@pytest.mark.parametrize(
    ("name", "value", "kind"),
    [
        ("rows", [["a", 0, "x"]], "lost"),
        ("rows", [["a", 0, "x"], ["a", 1, "y"], ["a", 1, "y"]], "doubled"),
        ("rows", [["a", 0, "x"], ["a", 1, "y"], ["b", 0, "z"]], "doubled"),
        ("searchable", {"a": 1}, "lost"),
        ("problems", [["missing", "1 row"]], "lost"),
        ("problems", [["duplicate", "3 rows"]], "doubled"),
        ("problems", [["unreadable", "no manifest"]], "unreadable"),
        ("states", {"a": "failed"}, "manual"),
        ("numbers", [1, 3, 0], "manual"),
        ("jobs", [["failed", 0, 0]], "manual"),
        ("taken out", 1, "unreadable"),
        ("collections", {}, "lost"),
    ],
)
def test_a_difference_is_called_what_it_is(name: str, value: Any, kind: str) -> None:
    assert kinds((name, value)) == {kind}


def test_another_vector_or_text_is_a_loss_of_the_right_one() -> None:
    assert kinds(("rows", [["a", 0, "x"], ["a", 1, "other"]])) == {"lost", "doubled"}


@pytest.mark.parametrize("name", ["foreign", "quarantine"])
def test_what_lies_about_counts_only_after_one_more_start(name: str) -> None:
    assert kinds((name, ["stray"]), of=("settled",)) == set()
    assert kinds((name, ["stray"]), of=("again",)) == {"manual"}
