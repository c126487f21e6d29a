"""A 20 MB almanac in which about a thousand distinct paragraphs recur, edition after edition."""

import math
import random
import tomllib
from collections.abc import Iterator
from pathlib import Path

EDITIONS = range(1992, 2020)
WORDS = tomllib.loads((Path(__file__).parent / "sources" / "almanac.toml").read_text("utf-8"))


def almanac() -> Iterator[str]:
    """Yield the almanac's paragraphs: place by place, each with all its editions.

    Editions of one place stand together so that an equal paragraph returns within 32 KB: that is as far back
    as zlib, and so git, can see.
    """
    yield "TIDE-GAUGE ALMANAC OF THE TIDESTONE COAST"
    for number, place in enumerate(WORDS["places"], start=1):
        yield f"Part {number}: {place}, editions {EDITIONS[0]} to {EDITIONS[-1]}"
        edition = [about(place), *monthly(place)]
        for year in EDITIONS:
            yield from edition
            if year != EDITIONS[-1]:
                yield "* * *"


def about(place: str) -> str:
    """The paragraph that opens every edition of a place."""
    draw = random.Random(place)
    text: str = WORDS["about"]
    return text.format(
        place=place,
        lee=draw.choice(WORDS["winds"]),
        year=draw.randint(1861, 1933),
        reader=draw.choice(("the miller", "the ferryman", "two sisters")),
        side=draw.choice(("port", "starboard")),
        **figures(draw, 0),
    )


def monthly(place: str) -> Iterator[str]:
    """Two paragraphs for each month of a place; the same place always gets the same text."""
    for number, month in enumerate(WORDS["months"]):
        for kind in ("levels", "skies"):
            draw = random.Random(f"{place} {month} {kind}")
            known = {"place": place, "month": month}
            yield " ".join(
                draw.choice(group).format(**known, **figures(draw, number)) for group in WORDS[kind]
            )


def figures(draw: random.Random, month: int) -> dict[str, object]:
    """What may be filled into a sentence, drawn anew for each; months count from 0."""
    season = 11.5 - 5.5 * math.cos(math.tau * (month - 1) / 12)
    return {
        "a": f"{draw.uniform(3.8, 5.4):.2f}",
        "b": f"{draw.uniform(0.6, 1.9):.2f}",
        "c": f"{draw.uniform(5.0, 7.2):.2f}",
        "t": f"{season + draw.uniform(-1.4, 1.4):.1f}",
        "n": draw.randint(3, 9),
        "h": draw.choice(("two", "three", "four")),
        "m": draw.randint(11, 59),
        "wind": draw.choice(WORDS["winds"]),
        "mark": draw.choice(WORDS["marks"]),
        "shore": draw.choice(WORDS["shores"]),
        "bird": draw.choice(WORDS["birds"]),
    }
