"""What a record says of itself, and that nothing it says is lost."""

import json
from pathlib import Path
from typing import Any

import pytest

from service.parsers import prepare
from service.parsers.parsed import Parsed
from tests.contracts.parser import parse
from tests.parsers.counters import WordPieces

LIMITS = prepare.Limits(256, 32, 10_000_000)
TASK = {"source": "library", "category": "notes", "filename": "a.jsonl"}


def metadata(path: Path, content: str) -> dict[str, Any]:
    path.write_text(content)
    told = list(prepare.messages(path, TASK, "", WordPieces().count, LIMITS))
    assert told[1][0]["kind"] == "piece"
    found: dict[str, Any] = told[1][0]["metadata"]
    return found


@pytest.mark.parametrize(
    ("name", "content"),
    [
        (
            "a.json",
            '{"text": "words of the record", "source": "https://example.org/pilot", "category": "own"}',
        ),
        (
            "a.json",
            '{"Text": "words of the record", "SOURCE": "https://example.org/pilot", "Category": "own"}',
        ),
        (
            "a.json",
            '{"note": "words of the record", "source": "https://example.org/pilot", "category": "own"}',
        ),
        ("a.csv", "text,source,category\nwords of the record,https://example.org/pilot,own\n"),
        ("a.csv", "note,source,category\nwords of the record,https://example.org/pilot,own\n"),
    ],
)
def test_a_records_own_source_and_category_win(tmp_path: Path, name: str, content: str) -> None:
    found = metadata(tmp_path / name, content)
    assert (found["source"], found["category"]) == ("https://example.org/pilot", "own")


@pytest.mark.parametrize("empty", ['""', '" "', "null", "{}"])
def test_an_empty_source_says_nothing(tmp_path: Path, empty: str) -> None:
    found = metadata(tmp_path / "a.jsonl", f'{{"text": "words of the record", "source": {empty}}}')
    assert (found["source"], found["category"]) == ("library", "notes")


@pytest.mark.parametrize("invisible", ["", "\u200b"])
def test_file_name_and_type_are_facts_about_the_file(tmp_path: Path, invisible: str) -> None:
    record = {"text": "words of the record", f"{invisible}filename": "b", f"{invisible}file_type": "web"}
    found = metadata(tmp_path / "a.jsonl", json.dumps(record))
    assert (found["filename"], found["file_type"]) == ("a.jsonl", "jsonl")
    if not invisible:
        assert (found["record_filename"], found["record_file_type"]) == ("b", "web")


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.json", '{"ID": 77, "Title": "Upper title", "Text": "words of the record"}'),
        ("a.csv", "ID,Title,TEXT\n77,Upper title,words of the record\n"),
    ],
)
def test_names_in_capitals_are_known(name: str, content: str) -> None:
    (found,) = parse(name, content.encode())
    assert isinstance(found, Parsed)
    assert (found.title, found.text) == ("Upper title", "words of the record")
    assert found.metadata == {"id": "77"}
    assert found.record == ("77" if name == "a.csv" else "")


def test_a_name_as_it_should_be_written_goes_before_one_in_capitals() -> None:
    (found,) = parse("a.jsonl", b'{"Id": 1, "id": 2, "TEXT": "another text", "text": "the text"}')
    assert isinstance(found, Parsed)
    assert (found.record, found.text.split("\n")[0]) == ("2", "the text")
