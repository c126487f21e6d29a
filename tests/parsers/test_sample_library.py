"""The sample library comes out of the sandbox as the list beside these tests says, file by file."""

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from service.errors import DocumentFailed, SkipDocument
from service.parsers.sandbox import Sandbox, SandboxSettings
from service.ports import FileRead, FileTask, Left, Piece

ROOT = Path(__file__).parent.parent.parent
LIBRARY = ROOT / "deploy" / "sample-library"
EXPECTED: dict[str, Any] = json.loads((ROOT / "tests" / "sample_expectations.json").read_text("utf-8"))


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    made = Sandbox(SandboxSettings("tests.parsers.counters:WordPieces", "."))
    yield made
    made.close()


def prepare(sandbox: Sandbox, path: str) -> list[Piece | Left | FileRead]:
    return list(sandbox.prepare(FileTask(LIBRARY / path, {"source": f"sample/{path}"})))


def test_every_file_is_expected() -> None:
    loops = [LIBRARY / loop for loop in EXPECTED["not_followed"]]
    found = {
        str(path.relative_to(LIBRARY)) for path in LIBRARY.rglob("*") if path.is_file() and path not in loops
    }
    assert found == {file["path"] for file in EXPECTED["files"]}


@pytest.mark.parametrize("file", EXPECTED["files"], ids=lambda file: file["path"])
def test_a_file_comes_out_as_expected(sandbox: Sandbox, file: dict[str, Any]) -> None:
    if file["outcome"] in ("skipped", "failed"):
        with pytest.raises(SkipDocument if file["outcome"] == "skipped" else DocumentFailed) as outcome:
            prepare(sandbox, file["path"])
        assert outcome.value.reason == file["reason"]
        return
    *told, read = prepare(sandbox, file["path"])
    assert isinstance(read, FileRead)
    assert read.container == (file["outcome"] == "container")
    pieces = [one for one in told if isinstance(one, Piece)]
    _says(pieces, file)
    if read.container:
        _counts(pieces, [one for one in told if isinstance(one, Left)], file)
    if same := file.get("same_content_as"):
        twin = prepare(sandbox, same)[0]
        assert isinstance(twin, Piece)
        assert twin.content_sha256 == pieces[0].content_sha256


def _says(pieces: list[Piece], file: dict[str, Any]) -> None:
    text = " ".join("\n".join(piece.text for piece in pieces).split())
    assert [phrase for phrase in file["phrases"] if phrase not in text] == []
    assert [phrase for phrase in file.get("absent", []) if phrase in text] == []
    assert file.get("title", pieces[0].title if pieces else "") == (pieces[0].title if pieces else "")
    if "pages" in file:
        assert pieces[0].metadata["pages"] == str(file["pages"])
    for piece in pieces:
        assert {"source", "title", "category", "filename", "file_type"} <= set(piece.metadata)


def _counts(pieces: list[Piece], left: list[Left], file: dict[str, Any]) -> None:
    outcomes = Counter(one.outcome for one in left)
    records = {"indexed": len({piece.record for piece in pieces}), "skipped": 0, "failed": 0} | outcomes
    assert records == file["records"]
    assert Counter(one.reason for one in left) == file["record_reasons"]
