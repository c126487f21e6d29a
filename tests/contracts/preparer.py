"""What every preparer promises: the engine relies on no more than this."""

import hashlib
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from service.core.space import Recipe
from service.core.stamp import stamp_of
from service.errors import DocumentFailed, SkipDocument, Stopped, TryAgain
from service.ports import FileRead, FileTask, Left, Piece, Preparer

WORDS = "The tide gauge at the North Mole was read at dawn and at dusk."
LONG = "\n\n".join(f"{i}. {WORDS} {WORDS[:30]}" * 8 for i in range(1500))


def whole_text(pieces: list[Piece]) -> str:
    """The document's text from its pieces; they may overlap, and leave no gap."""
    text = ""
    for piece in pieces:
        assert piece.start <= len(text)
        text += piece.text[len(text) - piece.start :]
    return text


def outside_chunks(text: str, pieces: list[Piece]) -> str:
    """What of the text no chunk holds; chunks may overlap."""
    outside, at = "", 0
    for span in (span for piece in pieces for span in piece.spans):
        outside += text[at : span.start]
        at = max(at, span.stop)
    return outside + text[at:]


class PreparerContract:
    """Subclasses give a fixture `preparer`, and say what is damaged for it: a file's name and bytes."""

    damaged: tuple[str, bytes]

    @pytest.fixture
    def preparer(self) -> Preparer:
        raise NotImplementedError

    def told(self, preparer: Preparer, path: Path, known: str = "") -> list[Piece | Left | FileRead]:
        return list(preparer.prepare(FileTask(path, {"source": "library/x"}, known)))

    def test_it_names_its_recipe(self, preparer: Preparer) -> None:
        assert isinstance(preparer.recipe, Recipe)

    def test_a_file_gives_its_text_and_what_was_read(self, preparer: Preparer, tmp_path: Path) -> None:
        path = tmp_path / "a.txt"
        path.write_text(WORDS)
        os.utime(path, (1_000_000_000, 1_000_000_000))
        piece, read = self.told(preparer, path)
        assert isinstance(piece, Piece)
        assert (piece.record, piece.start, piece.text, piece.last) == ("", 0, WORDS, True)
        assert [piece.text[span.start : span.stop] for span in piece.spans] == [WORDS]
        assert piece.content_sha256 == hashlib.sha256(WORDS.encode()).hexdigest()
        assert piece.metadata["source"] == "library/x"
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        assert read == FileRead(digest, len(WORDS), stamp_of(path.stat()), container=False, unchanged=False)

    def test_a_young_file_gets_no_stamp(self, preparer: Preparer, tmp_path: Path) -> None:
        path = tmp_path / "a.txt"
        path.write_text(WORDS)
        read = self.told(preparer, path)[-1]
        assert isinstance(read, FileRead)
        assert read.stamp == ""

    def test_a_known_file_is_not_parsed_again(self, preparer: Preparer, tmp_path: Path) -> None:
        name, content = self.damaged
        path = tmp_path / name
        path.write_bytes(content)
        (read,) = self.told(preparer, path, known=hashlib.sha256(content).hexdigest())
        assert isinstance(read, FileRead)
        assert read.unchanged

    def test_a_long_document_comes_whole_in_several_pieces(self, preparer: Preparer, tmp_path: Path) -> None:
        path = tmp_path / "a.txt"
        path.write_text(LONG)
        *pieces, read = self.told(preparer, path)
        assert len(pieces) > 2
        assert whole_text([piece for piece in pieces if isinstance(piece, Piece)]) == LONG
        assert isinstance(read, FileRead)

    def test_chunks_are_numbered_through_and_leave_out_nothing_but_space(
        self, preparer: Preparer, tmp_path: Path
    ) -> None:
        path = tmp_path / "a.txt"
        path.write_text(LONG)
        pieces = [piece for piece in self.told(preparer, path) if isinstance(piece, Piece)]
        ordinal = 0
        for piece in pieces:
            assert piece.first_ordinal == ordinal
            assert piece.start <= min(span.start for span in piece.spans)
            assert max(span.stop for span in piece.spans) <= piece.start + len(piece.text)
            assert piece.last == (piece is pieces[-1])
            ordinal += len(piece.spans)
        assert outside_chunks(LONG, pieces).strip() == ""

    def test_records_are_documents_and_bad_ones_are_left(self, preparer: Preparer, tmp_path: Path) -> None:
        path = tmp_path / "a.jsonl"
        path.write_text(
            '{"id": "1", "text": "words of the first"}\n{"text": "torn\n{"id": "3", "text": "short"}\n'
        )
        first, torn, short, read = self.told(preparer, path)
        assert isinstance(first, Piece)
        assert first.record == "1"
        assert isinstance(torn, Left)
        assert (torn.record, torn.outcome, torn.reason) == ("line-2", "failed", "damaged")
        assert isinstance(short, Left)
        assert (short.record, short.outcome, short.reason) == ("3", "skipped", "too_short")
        assert isinstance(read, FileRead)
        assert read.container

    @pytest.mark.parametrize(
        ("content", "reason"),
        [(b"", "empty"), (b" \n", "empty"), (b"123456789", "too_short"), (bytes(range(256)), "unknown_type")],
    )
    def test_what_rules_leave_out_is_skipped(
        self, preparer: Preparer, tmp_path: Path, content: bytes, reason: str
    ) -> None:
        path = tmp_path / "a.txt"
        path.write_bytes(content)
        with pytest.raises(SkipDocument) as skipped:
            self.told(preparer, path)
        assert (skipped.value.reason, skipped.value.sha256) == (reason, hashlib.sha256(content).hexdigest())

    def test_what_is_damaged_fails(self, preparer: Preparer, tmp_path: Path) -> None:
        name, content = self.damaged
        path = tmp_path / name
        path.write_bytes(content)
        with pytest.raises(DocumentFailed) as failed:
            self.told(preparer, path)
        assert (failed.value.reason, failed.value.sha256) == ("damaged", hashlib.sha256(content).hexdigest())

    def test_what_has_vanished_is_to_be_tried_again(self, preparer: Preparer, tmp_path: Path) -> None:
        with pytest.raises(TryAgain) as again:
            self.told(preparer, tmp_path / "none.txt")
        assert again.value.reason == "vanished"

    def test_it_works_from_several_threads(self, preparer: Preparer, tmp_path: Path) -> None:
        paths = [tmp_path / f"{i}.txt" for i in range(12)]
        for i, path in enumerate(paths):
            path.write_text(f"{i}: {WORDS}")
        with ThreadPoolExecutor(3) as pool:
            told = list(pool.map(lambda path: self.told(preparer, path), paths))
        assert [one[0].text for one in told if isinstance(one[0], Piece)] == [
            path.read_text() for path in paths
        ]

    def test_stop_ends_what_runs_and_nothing_that_comes_later(
        self, preparer: Preparer, tmp_path: Path
    ) -> None:
        path = tmp_path / "a.txt"
        path.write_text("\n\n".join(f"{i}. {WORDS}" * 10 for i in range(3000)))
        running = preparer.prepare(FileTask(path, {}))
        assert isinstance(next(running), Piece)
        preparer.stop()
        path.write_text(WORDS)
        assert isinstance(self.told(preparer, path)[-1], FileRead)
        with pytest.raises(Stopped):
            list(running)
