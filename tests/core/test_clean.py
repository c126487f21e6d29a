"""Cleaning."""

import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from service.core.clean import clean, clean_line

ODD = st.text(
    st.one_of(
        st.characters(exclude_categories=()),
        st.sampled_from("\r\n\t -\u00ad\u200b\ufeff\ufffe\x02\x00\u2028\u2029\u0301é"),
        st.sampled_from("abcdefgh"),
    ),
    max_size=60,
)


@given(ODD, st.booleans())
@example("docu-\nment and document", False)
@example("aa-\nbb-\ncc aabb aabbcc", False)
@example("e\u200b\u0301", False)
@example("a \u00ad\n b", True)
def test_cleaning_twice_changes_nothing_more(text: str, keep: bool) -> None:
    once = clean(text, keep)
    assert clean(once, keep) == once


@given(ODD, st.booleans())
def test_clean_text_is_storable_composed_and_has_no_controls(text: str, keep: bool) -> None:
    cleaned = clean(text, keep)
    cleaned.encode("utf-8")
    assert unicodedata.is_normalized("NFC", cleaned)
    assert not [c for c in cleaned if unicodedata.category(c) == "Cc" and c not in "\n\t"]
    assert "\n\n\n" not in cleaned


@given(st.text(st.sampled_from("ab cdé.\n\t"), max_size=60), st.booleans())
def test_no_word_is_lost_or_joined_to_another(text: str, keep: bool) -> None:
    assert clean(text, keep).split() == text.split()


@pytest.mark.parametrize(
    ("dirty", "tidy"),
    [
        ("one\r\ntwo\rthree\u2028four\x0cfive", "one\ntwo\nthree\nfour\nfive"),
        ("para\u2029graph", "para\n\ngraph"),
        ("zero\u200bwidth \ufeffmark \u202ehidden\u202c", "zerowidth mark hidden"),
        ("tag\U000e0041\U000e0042ged", "tagged"),
        ("a\u00a0b\u3000c   d\t e", "a b c d e"),
        ("one\n\n\n \n\ntwo", "one\n\ntwo"),
        ("cafe\u0301", "café"),
        ("bell\x07 and null\x00", "bell and null"),
        ("lone \ud83d surrogate", "lone \ufffd surrogate"),
        ("docu\u00adment, docu\u00ad\nment", "document, document"),
        ("docu\ufffe\nment, docu\x02\nment", "document, document"),
        ("The oﬃcial ﬁle of the ﬂeet", "The official file of the fleet"),
        ("ＦＵＬＬ ｗｉｄｔｈ １２３～", "FULL width 123~"),
        ("a docu-\nment is a document", "a document is a document"),
    ],
)
def test_dirt_is_removed(dirty: str, tidy: str) -> None:
    assert clean(dirty) == tidy


@pytest.mark.parametrize(
    ("dirty", "tidy"),
    [
        (
            "the naviga\x02tion lights, the naviga\ufffe\ntion lights",
            "the navigation lights, the navigation lights",
        ),
        ("well\x02known marks", "well-known marks"),
        ("well\ufffe\nknown marks", "well-\nknown marks"),
        ("state-of\x02the-art", "state-of-the-art"),
        ("twenty\x02five, and twenty-five again", "twenty-five, and twenty-five again"),
        ("a half\x02way house is halfway", "a halfway house is halfway"),
        ("Anglo\x02Saxon, COVID\ufffe\n19, a\x02 b", "Anglo-Saxon, COVID-\n19, a b"),
    ],
)
@pytest.mark.parametrize("keep", [False, True])
def test_a_hyphen_that_pdfium_took_for_a_soft_one_joins_what_is_likely_one_word(
    dirty: str, tidy: str, keep: bool
) -> None:
    assert clean(dirty, keep) == tidy


@pytest.mark.parametrize("text", ["x² + ½", "H₂O", "10⁻³ m", "ﷺ", "①"])
def test_characters_that_carry_meaning_are_not_folded(text: str) -> None:
    assert clean(text) == text


@pytest.mark.parametrize(
    "text", ["a well-\nknown rule", "x-\ny and xy", "Jean-\nLuc and JeanLuc", "co-op-\nted coopted"]
)
def test_a_hyphen_stays_where_the_text_does_not_show_the_word_unbroken(text: str) -> None:
    assert clean(text) == text


@pytest.mark.parametrize("text", ["👩‍🚀 flies", "می‌خواهم"])
def test_joiners_that_carry_meaning_stay(text: str) -> None:
    assert clean(text) == text


def test_indentation_of_code_stays_and_its_trailing_blanks_go() -> None:
    assert (
        clean("\n\ndef f():  \n    return  1\n\tx\n\n\n", keep_indentation=True)
        == "def f():\n    return  1\n\tx"
    )


@pytest.mark.parametrize("keep", [False, True])
def test_more_marks_on_a_letter_than_any_script_has_are_cut_off(keep: bool) -> None:
    assert clean("h" + "\u0330" * 1000 + " ends", keep) == "h" + "\u0330" * 30 + " ends"


def test_hyphens_in_code_stay() -> None:
    assert clean("docu-\nment document", keep_indentation=True) == "docu-\nment document"


def test_a_title_becomes_one_line() -> None:
    assert clean_line(" A\n\u200btitle\t of \r\n lines ") == "A title of lines"
