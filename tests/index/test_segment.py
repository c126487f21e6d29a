"""A segment's two files."""

import dataclasses
import sqlite3
from pathlib import Path
from typing import Any

import faiss
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.index import chunkbuild, flatfile
from service.index.chunkfile import ChunkFile
from service.index.files import verify
from service.index.records import (
    ChunkRecord,
    SegmentContents,
    SegmentId,
    TextRecord,
    Vectors,
    VersionRecord,
    text_hash,
)
from service.index.segment import write_segment
from service.index.texts import BLOCK_CHARACTERS, blocks, stitch
from tests.index.making import DIMENSIONS, chunk_text, contents, unit_vectors


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "segments").mkdir()
    return tmp_path


@pytest.mark.parametrize(("metric", "kind"), [("cosine", faiss.IndexFlatIP), ("l2", faiss.IndexFlatL2)])
@pytest.mark.parametrize("rows", [0, 1, 1000])
def test_vectors_are_byte_for_byte_what_faiss_writes(
    tmp_path: Path, metric: str, kind: type, rows: int
) -> None:
    vectors = unit_vectors(rows, 1)
    index = kind(DIMENSIONS)
    index.add(vectors)
    faiss.write_index(index, str(tmp_path / "a"))
    assert flatfile.encode(metric, vectors) == (tmp_path / "a").read_bytes()


def test_rows_are_read_back_in_the_order_asked_for(tmp_path: Path) -> None:
    vectors = unit_vectors(50, 2)
    (tmp_path / "a").write_bytes(flatfile.encode("cosine", vectors))
    for rows in ([40, 3, 3, 0], []):
        assert np.array_equal(flatfile.read_rows(tmp_path / "a", DIMENSIONS, rows), vectors[rows])


@pytest.mark.parametrize(
    "bad", [np.ones((2, 3)), np.ones(3, np.float32), np.full((1, 3), np.nan, np.float32)]
)
def test_vectors_that_would_poison_a_segment_are_refused(bad: Vectors) -> None:
    with pytest.raises(ValueError, match="finite float32"):
        flatfile.encode("cosine", bad)


def test_a_segment_is_written_whole_and_synced(root: Path, synced: list[str]) -> None:
    written = write_segment(root, SegmentId(12, 7), "id-1", "cosine", contents([1, 2]))
    assert written.vectors.name == "segments/00000012-t7.faiss"
    assert written.chunks.name == "segments/00000012-t7.chunks"
    assert synced == [
        str(verify(root, written.vectors)),
        str(verify(root, written.chunks)),
        f"{root}/segments",
    ]
    with ChunkFile(root / written.chunks.name) as chunks:
        assert [record.row for record in chunks.rows()] == list(range(written.rows))
        assert chunks.meta() == {
            "format": chunkbuild.FORMAT, "collection_id": "id-1", "segment": "12", "dimensions": str(DIMENSIONS)
        }  # fmt: skip


def test_the_same_contents_give_the_same_bytes() -> None:
    built = {chunkbuild.build({"a": "b"}, contents([3, 1, 2])) for _ in range(3)}
    assert len(built) == 1


def test_chunk_records_come_back_as_they_were(root: Path) -> None:
    given_ = contents([5, 4], chunks=4)
    written = write_segment(root, SegmentId(1, 1), "id-1", "cosine", given_)
    with ChunkFile(root / written.chunks.name) as chunks:
        assert [record.chunk for record in chunks.rows()] == given_.chunks
        assert chunks.versions() == sorted(given_.versions, key=lambda version: version.version)
        assert [r.row for r in chunks.rows_of_version(4)] == [4, 5, 6, 7]
        assert chunks.rows_of_version(99) == []
        assert chunks.texts([6, 1]) == [chunk_text(4, 2), chunk_text(5, 1)]
        assert chunks.rows_of_version(5)[1].text_hash == text_hash(chunk_text(5, 1))
        assert "".join(part.text for part in chunks.text_of_version(4)) == given_.texts[1].text
        with pytest.raises(KeyError):
            chunks.texts([8])


def _changed(**changes: Any) -> SegmentContents:
    return dataclasses.replace(contents([1]), **changes)


@pytest.mark.parametrize(
    "wrong",
    [
        _changed(vectors=unit_vectors(2, 1)),
        _changed(texts=[]),
        _changed(texts=[TextRecord(1, 5, "no beginning " * 99)]),
        _changed(versions=[]),
        _changed(chunks=[ChunkRecord(1, 0, 0, 5, 1)] * 3),
        _changed(vectors=unit_vectors(0, 1), chunks=[]),
    ],
    ids=["rows differ", "no text", "text starts late", "version not described", "a chunk twice", "no rows"],
)
def test_contents_that_do_not_fit_together_are_refused_before_anything_is_written(
    root: Path, wrong: SegmentContents
) -> None:
    with pytest.raises((ValueError, sqlite3.IntegrityError)):
        write_segment(root, SegmentId(1, 1), "id-1", "cosine", wrong)
    assert list((root / "segments").iterdir()) == []


@settings(deadline=None, max_examples=50)
@given(data=st.data())
def test_any_slice_of_a_text_comes_back_whatever_pieces_it_was_stored_in(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    """Pieces may overlap, begin alike and be longer than a block; chunks may span them."""
    size = data.draw(st.integers(2, 3 * BLOCK_CHARACTERS))
    text = "".join(chr(48 + n % 7 + n % 11) for n in range(size - 1)) + "é"
    cuts = sorted({0, *data.draw(st.lists(st.integers(0, size - 1), max_size=4))})
    overlap = data.draw(st.integers(0, 50))
    pieces = [TextRecord(1, a, text[a : b + overlap]) for a, b in zip(cuts, [*cuts[1:], size], strict=True)]
    pieces += [TextRecord(1, a, text[a : a + 3]) for a in cuts]
    spans = data.draw(
        st.lists(st.tuples(st.integers(0, size - 1), st.integers(1, 6000)), min_size=1, max_size=5)
    )
    chunks = [ChunkRecord(1, n, a, min(a + length, size), 1) for n, (a, length) in enumerate(spans)]
    version = VersionRecord(1, 1, "k", "", {}, "")
    path = tmp_path_factory.mktemp("slices") / "a.chunks"
    path.write_bytes(chunkbuild.build({}, SegmentContents(unit_vectors(1, 1), chunks, [version], pieces)))
    with ChunkFile(path) as opened:
        assert opened.texts(range(len(chunks))) == [text[c.start : c.stop] for c in chunks]
        assert stitch([(p.start, p.text) for p in opened.text_of_version(1)], 0, size) == text


def test_blocks_are_never_longer_than_readers_expect() -> None:
    stored = list(blocks([TextRecord(1, 10, "x" * (2 * BLOCK_CHARACTERS + 1))]))
    assert [(start, stop) for _, start, stop, _ in stored] == [(10, 4106), (4106, 8202), (8202, 8203)]
