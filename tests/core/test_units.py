"""Sentences end where the script ends them, also where its marks were folded to ASCII."""

from service.core.units import Units


def units(text: str) -> list[str]:
    found = Units(text, len, 500)
    return [text[start:stop] for start, stop in zip(found.start, found.stop, strict=True)]


def test_a_folded_mark_between_ideographs_ends_a_sentence() -> None:
    first, second, third = "海面平静" * 12 + "!", "灯塔亮着" * 12 + "?", "港口开放" * 12 + "。"
    assert units(first + second + third) == [first, second, third]


def test_a_mark_within_latin_text_ends_none() -> None:
    text = "see https://harbour.example/search?q=tide!now " * 4
    assert units(text.strip()) == [text.strip()]
