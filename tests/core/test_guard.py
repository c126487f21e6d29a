"""What a job may take away: few documents, or those whose digest somebody confirms."""

import pytest

from service.core.guard import Deletions, Weighed, is_doubtful, judge, may_delete


def some(documents: int, *keys: str) -> Deletions:
    made = Deletions(documents)
    for key in keys:
        made.add(key)
    return made


NONE, FEW, MANY = Deletions(), some(10, "few"), some(30, "many")


@pytest.mark.parametrize(("documents", "may"), [(20, True), (21, False)])
def test_a_fifth_may_go(documents: int, may: bool) -> None:
    assert may_delete("safe", some(documents, "a"), 100, "") is may


@pytest.mark.parametrize(
    ("mode", "listed", "doubted", "verdict"),
    [
        ("off", FEW, FEW, (False, False)),
        ("safe", FEW, NONE, (True, True)),
        ("safe", FEW, FEW, (True, True)),
        ("safe", MANY, NONE, (False, False)),
        ("safe", MANY, FEW, (False, False)),
        ("safe", FEW, some(11, "eleven"), (True, False)),
        ("confirmed", FEW, MANY, (True, False)),
    ],
)
def test_both_parts_together_are_no_more_than_it_lets_pass(
    mode: str, listed: Deletions, doubted: Deletions, verdict: tuple[bool, bool]
) -> None:
    assert judge(mode, Weighed(100, listed, doubted), FEW.digest if mode == "safe" else "") == verdict


def test_a_digest_confirms_both_or_what_is_listed_alone() -> None:
    both, listed = (MANY + some(40, "more")).digest, MANY.digest
    assert judge("confirmed", Weighed(100, MANY, some(40, "more")), both) == (True, True)
    assert judge("confirmed", Weighed(100, MANY, some(40, "more")), listed) == (True, False)
    assert judge("confirmed", Weighed(100, MANY, FEW), listed) == (True, True)
    assert judge("confirmed", Weighed(100, MANY, FEW), FEW.digest) == (False, False)


def test_a_digest_is_of_files_whatever_their_order_and_survives_being_written_down() -> None:
    assert some(1, "a", "b").digest == some(2, "b", "a").digest != some(1, "a").digest
    assert Deletions.of(MANY.view) == MANY
    assert Deletions.of((MANY + FEW).view).view == (MANY + FEW).view == (FEW + MANY).view
    assert not NONE
    assert not Deletions.of(NONE.view)
    assert some(0, "a")


def test_a_file_is_doubtful_when_it_has_lost_more_than_a_fifth() -> None:
    assert [is_doubtful(lost, 10) for lost in (-3, 0, 2, 3, 10)] == [False, False, False, True, True]
    assert not is_doubtful(0, 0)
