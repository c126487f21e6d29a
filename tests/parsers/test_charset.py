"""Text is read in the encoding it is written in; what has several readings is read as Western."""

import random

import pytest

from service.parsers.charset import decode
from tests.parsers import sentences
from tests.parsers.sentences import CHINESE, ENGLISH, FRENCH, IN_ENCODINGS, JAPANESE, RUSSIAN, WESTERN

LOG = "2024-01-01 INFO plain ascii line of the pump\n"


# Too short to tell: one or two letters beyond ASCII among words that no list holds ("razli\xe8nimi": è or č?). Such a
# line is read as cp1252, so one in ten single lines of Slovak, Romanian or Baltic software messages comes out wrong,
# and below 60 characters what a Mac or DOS wrote; texts of several lines do not.
@pytest.mark.parametrize(("text", "encoding"), IN_ENCODINGS)
@pytest.mark.parametrize("times", [1, 60])
def test_a_sentence_and_a_long_text_are_read_in_their_encoding(text: str, encoding: str, times: int) -> None:
    text = "\n".join([text] * times)
    assert decode(text.encode(encoding)) == text


@pytest.mark.parametrize("text", WESTERN)
@pytest.mark.parametrize("encoding", ["cp1252", "latin-1"])
def test_half_a_western_sentence_is_not_taken_for_another_code_page(text: str, encoding: str) -> None:
    for start in range(0, len(text) - 60, 7):
        part = text[start : start + 60]
        assert decode(part.encode(encoding)) == part


@pytest.mark.parametrize(
    "text", ["Café Zürich", "fin de l’été, “déjà vu”", "12 € per metre", "naïve", "Bjørn Ström"]
)
def test_a_few_words_are_western(text: str) -> None:
    assert decode(text.encode("cp1252")) == text


@pytest.mark.parametrize("text", [FRENCH, RUSSIAN, CHINESE, ENGLISH])
def test_characters_far_down_an_ascii_file_tell_its_encoding(text: str) -> None:
    encoding = {FRENCH: "cp1252", ENGLISH: "cp1252", RUSSIAN: "koi8-r", CHINESE: "gb18030"}[text]
    long = LOG * 2000 + text + "\n" + LOG * 2000
    assert decode(long.encode(encoding)) == long


@pytest.mark.parametrize(
    ("good", "bad"),
    [
        ("The pilot’s note: “slow ahead”. ", b"\xff"),
        ("plain words with one café in them, ", b"\xe9 "),
        ("plain words with one 灯塔 in them, 每天", b"\xe7 "),
        ("Гавань открыта. ", b"\xd0"),
    ],
)
def test_damage_in_utf8_costs_the_damaged_bytes_only(good: str, bad: bytes) -> None:
    for data in (
        good.encode() + bad + LOG.encode(),
        LOG.encode() + bad + good.encode(),
        good.encode() + b"\xe2\x80",
    ):
        text = decode(data)
        assert text is not None
        assert text.replace("\ufffd", "").replace(" ", "") in (
            (good + LOG).replace(" ", ""),
            (LOG + good).replace(" ", ""),
            good.replace(" ", ""),
        )


def test_a_single_accent_at_the_end_is_no_cut_off_utf8() -> None:
    assert decode("un café".encode("cp1252")) == "un café"
    assert decode("« Où est l’été\xa0»".encode("cp1252")) == "« Où est l’été\xa0»"


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be"])
@pytest.mark.parametrize(
    "text", [FRENCH, ENGLISH, RUSSIAN, sentences.GREEK, sentences.HEBREW, CHINESE, JAPANESE]
)
def test_wide_text_needs_no_mark(encoding: str, text: str) -> None:
    assert decode((text + "\n").encode(encoding)) == text + "\n"


def test_nuls_that_part_or_fill_fields_become_a_space() -> None:
    assert decode(b"Hello harbour\0world of tides\0and more") == "Hello harbour world of tides and more"
    padded = ("Möwe".encode() + bytes(10) + b"pilot of the harbour" + bytes(10)) * 9
    assert decode(padded) == "Möwe pilot of the harbour " * 9
    assert decode(b"name  \0value  \0" * 40) == "name   value   " * 40


@pytest.mark.parametrize("mark", [b"\xff\xfe", b"\xfe\xff", b"\xff\xfe\0\0", b""])
def test_random_bytes_are_no_text_whatever_they_begin_with(mark: bytes) -> None:
    for seed in range(20):
        assert decode(mark + random.Random(seed).randbytes(4000)) is None


def test_the_same_bytes_are_always_the_same_text() -> None:
    for text, encoding in IN_ENCODINGS:
        assert len({decode(text.encode(encoding)) for _ in range(2)}) == 1
