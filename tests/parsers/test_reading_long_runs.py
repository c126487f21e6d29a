"""A million of the same take seconds, not hours, to be sniffed and read as text."""

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from service.errors import SkipDocument
from service.parsers import text as plain
from service.parsers.parsed import Raw
from service.parsers.sniff import sniff

MANY = 1_000_000
MOST_SECONDS = 60  # generous: eight files take some five at most; what is quadratic takes hours
TO_SNIFF = [
    *(" ", "\t", "\n", " \n", "-", "a", "é", "]", "\u0301"),
    *("[", "{", "{ ", "{}\n", "{} ", '{"a":', "# ", "=\n", "`", "```\n", "---\n", "\0a", "\x1b$B"),
    *("<", "<p ", "<!--", "<!---->", "<script>", '"', "\\", "%PDF-", "字"),
]
SUFFIXES = ["txt", "md", "rst", "html", "json", "jsonl", "csv", "py"]


def within_seconds(work: Callable[[], object]) -> None:
    start = time.process_time()
    work()
    assert time.process_time() - start < MOST_SECONDS


@pytest.mark.parametrize("run", TO_SNIFF, ids=ascii)
def test_sniffing_and_reading_text_are_linear(run: str) -> None:
    data = (run * (MANY // len(run)) + "word").encode()

    def read() -> None:
        for suffix in SUFFIXES:
            raw = Raw(Path(f"a.{suffix}"), data, "")
            try:
                text = sniff(raw)[1]
            except SkipDocument:
                continue
            list(plain.parse(Raw(raw.path, data, text)))

    within_seconds(read)
