"""Where a text says its title."""

import pytest

from tests.contracts.parser import parse


@pytest.mark.parametrize(
    ("name", "text", "title"),
    [
        ("a.md", "```sh\n# not a title\nls\n```\n\n# Real title\n\nwords", "Real title"),
        ("a.md", "~~~\n# no\n```\n# no\n~~~\n# Yes", "Yes"),
        ("a.md", "````\n```\n# no\n````\nwords only", ""),
        ("a.md", "---\ntitle: Tide guide\nauthor: Ann\n---\n\n# Heading\n\nwords", "Tide guide"),
        ("a.md", '---\r\nauthor: Ann\r\ntitle: "Tides: a guide"\r\n---\r\nwords', "Tides: a guide"),
        ("a.md", "---\nauthor: Ann\n---\n\n# Heading\n\nwords", "Heading"),
        ("a.md", "---\n\ntitle: a line of text between rules\n\n---\n\n# Heading", "Heading"),
        ("a.md", "---\n# a comment\ntags: x\n---\nwords", ""),
        ("a.md", "Tide guide\n==========\n\nwords", "Tide guide"),
        ("a.md", "words\n\nSecond\n------\n\nmore", "Second"),
        ("a.md", "words\n\n---\n\n# Heading", "Heading"),
        ("a.md", "- an item\n---\n\n# Heading", "Heading"),
        ("a.md", "old mac\r\r# Heading ##\r\rwords", "Heading"),
        ("a.md", "# C#", "C#"),
        ("a.md", "Contents\n---\n\n## Two\n\n# One\n\n# Another", "One"),
        ("a.rst", "=====\nTitle\n=====\n\nwords", "Title"),
        ("a.txt", "# words of a text", ""),
    ],
)
def test_a_title_is_found_where_the_markup_has_one(name: str, text: str, title: str) -> None:
    assert parse(name, text.encode())[0].title == title  # type: ignore[union-attr]
