"""DrawingML: text, charts and diagrams, as they stand in slides and in Word documents."""

from collections.abc import Iterator
from typing import Any

from service.parsers import opc


def lines(element: Any) -> str:
    """All paragraphs below, one a line."""
    return "\n".join("".join(_inline(paragraph)) for paragraph in element.iter("{*}p"))


def _inline(element: Any) -> Iterator[str]:
    for name, each in opc.visible(element):
        if name == "t":
            yield each.text or ""
        elif name == "br":
            yield "\n"
        elif name not in ("pPr", "rPr"):
            yield from _inline(each)


def chart(root: Any) -> str:
    """Titles, then the names of the series and of the categories, each in a line; their numbers stay out."""
    typed = [lines(text) for text in root.iter("{*}rich")]
    linked = [
        "".join(opc.texts(text, "v")) for title in root.iter("{*}title") for text in title.iter("{*}strRef")
    ]
    series = list(root.iter("{*}ser"))
    names = [
        "".join(opc.texts(text, "v")) for each in series for text in each if opc.local_name(text) == "tx"
    ]
    categories = [
        name for each in series for text in each.iter("{*}cat", "{*}xVal") for name in opc.texts(text, "v")
    ]
    told = [*typed, *linked, opc.row(names), opc.row(dict.fromkeys(categories))]
    return "\n".join(text for text in told if text.strip())


def diagram(root: Any) -> str:
    """What stands in the boxes of a SmartArt drawing."""
    return "\n".join(line for line in lines(root).split("\n") if line.strip())
