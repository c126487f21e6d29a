"""Plain text, markdown, reStructuredText, source code and any other readable text."""

import re
from collections.abc import Iterator

from service.parsers.parsed import Parsed, Raw

_PROSE = {"", "txt", "text"}  # everywhere else indentation may mean something
_MARKDOWN = {"md", "markdown", "mdown", "mkd"}
_MARKDOWN_TITLE = re.compile(r"^#[ \t]+(.+?)[ \t#]*$", re.M)
_RST_TITLE = re.compile(r"^(?:([=\-~#*^\"+])\1{2,}\n[ \t]*)?(\S[^\n]*)\n([=\-~#*^\"+])\3{2,}[ \t]*$", re.M)
_HEAD = 4096  # characters in which a title is looked for


def parse(raw: Raw) -> Iterator[Parsed]:
    head = raw.text[:_HEAD].replace("\r\n", "\n")
    title = ""
    if raw.suffix in _MARKDOWN and (found := _MARKDOWN_TITLE.search(head)):
        title = found[1]
    elif raw.suffix == "rst" and (found := _RST_TITLE.search(head)):
        title = found[2]
    yield Parsed("", title, raw.text, {"file_type": raw.suffix or "txt"}, raw.suffix not in _PROSE)
