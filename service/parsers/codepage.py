"""Which of the old code pages a text is written in: the one in which it reads most like some language."""

import re
from collections import Counter
from functools import cache

from service.parsers.languages import Language, languages

_SAMPLE_BYTES = 16_384  # around bytes beyond ASCII; the others tell little
_CONTEXT_BYTES = 120
_BEYOND_ASCII = re.compile(rb"[\x80-\xff]")
_WORD = re.compile(rb"(?<![\x80-\xff\w])[a-z]+(?![\x80-\xff\w])")
# Signs that stand in every language, in decreasing likelihood of a text that is full of them.
_QUOTES, _SIGNS = frozenset("‘’“”„–—…«»€\u00a0"), frozenset("•£§°©®™¿¡·×½¼¾ªº²³µ±‹›‚†‡\u00ad")
# What no language has: a sign within a word, a capital after a small letter, an alphabet's letter beside a
# Latin one, a vowel sign of Thai without a letter under it.
_ODD = re.compile(
    r"[^\W\d_]€|€[^\W\d_]|(?<=[^\W\d_])[‘“”„‚«»€…£§°©®™¿¡×½¼¾ªº²³µ±†‡•¤¦¨¬¸¹](?=[^\W\d_])|(?<=[a-zß-öø-ÿ])[À-ÖØ-ÞŒŠŽŸĂĄĆČĎĐĘĚĹĽŁŃŇŐŔŘŚŞŢŤŮŰŹŻ]"
    r"|[a-zA-Z][\u0370-\u0eff]|[\u0370-\u0eff][a-zA-Z]|(?<=[ά-ώа-џ])[Ά-ΫЀ-Я]|(?<![ก-ฮ็-์ิ-ฺ])[ัิ-ฺ็-๎]"
)
_IMPOSSIBLE = re.compile("[\ufffd\x80-\x9f\u2500-\u259f]")  # replaced, controls, frames of DOS
_TOGETHER = re.compile(r"([^\W\d_a-zA-Z])(?!\1)(?=[^\W\d_a-zA-Z])")
_NO_LETTER, _RARE, _SIGN, _QUOTE = -1.0, 0.2, 0.3, 1.0
_NEVER, _ODDITY, _NEIGHBOURS = -3.0, -2.0, -1.0
_WORDS = 1.5  # how much the share of a language's commonest words counts
_LESS_USUAL = 0.15  # what any other than cp1252 must be better by
_LEAST = 0.1  # below this it is no language of the table
_HANDICAPS = {"iso-8859-15": 0.2, "mac-roman": 0.4, "cp850": 0.4, "cp852": 0.4, "mac-cyrillic": 0.1}

_known = cache(languages)


def guess(data: bytes) -> str | None:
    """The encoding, None where no language can be made out."""
    sample = telling(data)
    words = Counter(_WORD.findall(sample.lower()))
    best, found = _LEAST, None
    for encoding, speakers in _speakers().items():
        text = sample.decode(encoding, "replace")
        score = _score(text, words, speakers) - _handicap(encoding)
        if score > best:
            best, found = score, encoding
    return found


def telling(data: bytes) -> bytes:
    """A part of the data that is large enough to judge by, from where it is not ASCII."""
    sample, end = bytearray(), 0
    while len(sample) < _SAMPLE_BYTES and (found := _BEYOND_ASCII.search(data, end)):
        start = max(end, found.start() - _CONTEXT_BYTES)
        end = found.end() + 2 * _CONTEXT_BYTES
        line_end = data.find(b"\n", end, end + _SAMPLE_BYTES // 4)
        end = line_end + 1 or end
        sample += data[start:end]
    return bytes(sample)


@cache
def _speakers() -> dict[str, list[Language]]:
    found: dict[str, list[Language]] = {}
    for language in _known():
        for encoding in language.encodings:
            found.setdefault(encoding, []).append(language)
    return found


def _handicap(encoding: str) -> float:
    return 0 if encoding == "cp1252" else _LESS_USUAL + _HANDICAPS.get(encoding, 0)


def _score(text: str, words: Counter[bytes], speakers: list[Language]) -> float:
    """At most about 2: how well the characters beyond ASCII suit each other and the best suited language."""
    counts = Counter(character for character in text if not character.isascii())
    lower = Counter[str]()
    for character, count in counts.items():
        lower[character if len(character.lower()) > 1 else character.lower()] += count
    total = max(counts.total(), 1)
    odd = _ODDITY * (len(_ODD.findall(text)) + abs(text.count("«") - text.count("»")))
    return odd / total + max(_suits(language, lower, words, text) / total for language in speakers)


def _suits(language: Language, counts: Counter[str], words: Counter[bytes], text: str) -> float:
    letters = sum(count * _worth(character, language) for character, count in counts.items())
    if not language.words:
        return letters
    usual = sum(words[word] for word in language.words) / max(words.total(), 10)
    return letters + _NEIGHBOURS * len(_TOGETHER.findall(text)) + _WORDS * usual * counts.total()


def _worth(character: str, language: Language) -> float:
    if character in language.letters:
        return 1.0
    if character in language.rare:
        return _RARE
    if character in _QUOTES:
        return _QUOTE
    if character in _SIGNS:
        return _SIGN
    return _NEVER if _IMPOSSIBLE.match(character) else _NO_LETTER
