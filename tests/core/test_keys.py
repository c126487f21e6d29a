"""Different places have different keys, and the records of a file stand together."""

from hypothesis import assume, given
from hypothesis import strategies as st

from service.core.keys import file_key, range_of_records, record_key

NAMES = st.text(alphabet="a#%235/$", min_size=1, max_size=8)


def test_plain_names_are_kept() -> None:
    assert file_key("docs", "", "a.txt") == "docs/a.txt"
    assert file_key("docs", "de\u0301/100 %", "50%.txt") == "docs/de\u0301/100 %/50%.txt"
    assert record_key("docs/a.jsonl", "7") == "docs/a.jsonl#7"


def test_a_hash_sign_in_a_name_does_not_look_like_a_record() -> None:
    assert file_key("docs", "C#", "a.jsonl#7") == "docs/C%23/a.jsonl%237"
    assert file_key("docs", "", "a%23") == "docs/a%2523"


@given(NAMES, NAMES)
def test_different_paths_have_different_keys(one: str, other: str) -> None:
    assume(one != other)
    assert file_key("r", "", one) != file_key("r", "", other)


@given(NAMES, NAMES, NAMES)
def test_a_file_s_records_are_in_its_range_and_nothing_else_is(file: str, record: str, other: str) -> None:
    key = file_key("r", "", file)
    first, beyond = range_of_records(key)
    assert first <= record_key(key, record) < beyond
    assert not first <= key < beyond
    elsewhere = file_key("r", "", other)
    assume(elsewhere != key)
    assert not first <= elsewhere < beyond
    assert not first <= record_key(elsewhere, record) < beyond
