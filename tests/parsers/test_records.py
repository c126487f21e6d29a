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


def one(record: dict[str, Any]) -> Parsed:
    (found,) = parse("a.jsonl", json.dumps(record).encode())
    assert isinstance(found, Parsed)
    return found


def test_long_and_nested_fields_stand_below_the_text() -> None:
    body = "anchors and chains " * 40
    sections = [{"heading": "Chain", "words": "inspect it"}, "coil it"]
    found = one(
        {"text": "A summary.", "body": body, "sections": sections, "by": "me", "none": [], "no": None}
    )
    nested = "sections:\n  -\n    heading: Chain\n    words: inspect it\n  - coil it"
    assert found.text == f"A summary.\n\nbody: {body}\n\n{nested}"
    assert found.metadata == {"by": "me"}


def test_no_field_of_a_record_is_lost() -> None:
    """Whatever each field holds, its word is in the title, the text or the metadata."""
    values = ["w{}", "w{} " * 300, ["w{}"], {"key": "w{}"}]
    for content in ({"content": "w-content"}, {}):
        for index, value in enumerate(values):
            record = {**content}
            for name in ("title", "text", "source", "category", "file_type", "filename", "id", "other"):
                record[name] = json.loads(json.dumps(value).replace("{}", f"-{name}"))
            found = one(record)
            said = " ".join([found.title, found.text, *found.metadata.values()])
            assert [name for name in record if f"w-{name}" not in said] == [], index


@pytest.mark.parametrize("empty", ["", " \n", None])
def test_the_first_text_field_that_says_something_is_the_text(empty: str | None) -> None:
    found = one({"content": empty, "text": "The text field holds the words."})
    assert (found.text, found.metadata) == ("The text field holds the words.", {})


def test_a_second_text_is_searched_too() -> None:
    assert one({"text": "the short form", "content": "the words"}).text == "the words\n\ntext: the short form"


def test_empty_text_stays_empty_unless_something_is_long() -> None:
    assert one({"title": "Nothing to say", "content": "", "by": "me"}).text.strip() == ""
    assert one({"content": "", "body": "word " * 200}).text == "body: " + "word " * 200


def test_a_title_may_be_a_number() -> None:
    assert one({"title": 1984, "text": "words"}).title == "1984"


def test_an_embedding_is_no_text() -> None:
    assert one({"text": "words", "embedding": [0.5] * 384}).text == "words"
    assert one({"text": "words", "years": [1911, 1912]}).text == "words\n\nyears:\n  - 1911\n  - 1912"
