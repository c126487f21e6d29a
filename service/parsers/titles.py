"""Titles that programs put into a file and that say less than its name."""

import re

_MADE_BY_A_PROGRAM = re.compile(
    r"""\(?(?:untitled|unbenannt|ohne\ titel|no\ title|none|title|titel)\)?\s*\d*
    |(?:document|dokument|presentation|präsentation|slide|folie|book|mappe|untitled)[ -]?\d+
    |powerpoint[ -]?(?:presentation|präsentation)
    |microsoft\ (?:word|excel|powerpoint)\ -\ .*
    |.*\.(?:docx?|dotx?|docm|rtf|odt|xlsx?|pptx?|ppsx?|odp|pdf|ps|dvi|tex|indd|qxd|pmd|txt|html?)""",
    re.I | re.X | re.S,
)


def telling(title: str) -> str:
    """The title, or "" when the name of the file says more."""
    return "" if _MADE_BY_A_PROGRAM.fullmatch(title.strip()) else title
