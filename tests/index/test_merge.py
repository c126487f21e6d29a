"""Merging by copying."""

from collections.abc import Sequence
from pathlib import Path

import faiss
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.errors import Corrupt
from service.index import chunkbuild, flatfile
from service.index.chunkfile import ChunkFile
from service.index.files import make_folder, verify
from service.index.merge import MergeInput, Target, alive_after, merge_segments
from service.index.records import (
    Mask,
    SegmentContents,
    SegmentId,
    TextRecord,
    WrittenSegment,
)
from service.index.segment import write_segment
from service.index.texts import stitch
from tests.index.making import DIMENSIONS, chunk_text, contents, flip, unit_vectors

TARGET = Target(SegmentId(99, 8), "id-1", "cosine", DIMENSIONS)
DRAWN = st.lists(st.lists(st.booleans(), min_size=3, max_size=30).map(np.array), min_size=2, max_size=4)


def _written(root: Path, parts: Sequence[SegmentContents]) -> list[WrittenSegment]:
    make_folder(root / "segments")
    return [write_segment(root, SegmentId(n, 7), "id-1", "cosine", part) for n, part in enumerate(parts)]


def _inputs(written: Sequence[WrittenSegment], masks: Sequence[Mask]) -> list[MergeInput]:
    return [MergeInput(w.vectors, w.chunks, mask) for w, mask in zip(written, masks, strict=True)]


@settings(max_examples=30, deadline=None)
@given(masks=DRAWN)
def test_a_merge_equals_a_segment_made_of_the_kept_rows(
    tmp_path_factory: pytest.TempPathFactory, masks: list[Mask]
) -> None:
    root = tmp_path_factory.mktemp("merge")
    parts = [contents([n + 1, n + 50], chunks=30) for n in range(len(masks))]
    masks = [np.resize(mask, 60) for mask in masks]
    if not any(mask.any() for mask in masks):
        masks[0][7] = True
    written = _written(root, parts)
    merged = merge_segments(root, _inputs(written, masks), TARGET)
    vectors = np.concatenate([part.vectors[mask] for part, mask in zip(parts, masks, strict=True)])
    chunks = [
        chunk
        for part, mask in zip(parts, masks, strict=True)
        for chunk, kept in zip(part.chunks, mask, strict=True)
        if kept
    ]
    assert verify(root, merged.vectors).read_bytes() == flatfile.encode("cosine", vectors)
    kept_versions = {chunk.version for chunk in chunks}
    with ChunkFile(verify(root, merged.chunks)) as opened:
        assert [record.chunk for record in opened.rows()] == chunks
        assert [record.row for record in opened.rows()] == list(range(merged.rows))
        assert opened.texts(range(len(chunks))) == [chunk_text(c.version, c.ordinal) for c in chunks]
        assert {version.version for version in opened.versions()} == kept_versions
        for version in kept_versions:
            whole = "".join(chunk_text(version, n) for n in range(30))
            assert (
                stitch([(p.start, p.text) for p in opened.text_of_version(version)], 0, len(whole)) == whole
            )
        for dropped in {1, 50, 2, 51} - kept_versions:
            assert opened.text_of_version(dropped) == []


def test_the_merged_vectors_are_byte_for_byte_what_faiss_writes(tmp_path: Path) -> None:
    parts = [contents([1]), contents([2])]
    merged = merge_segments(tmp_path, _inputs(_written(tmp_path, parts), [np.ones(3, bool)] * 2), TARGET)
    index = faiss.IndexFlatIP(DIMENSIONS)
    for part in parts:
        index.add(part.vectors)
    faiss.write_index(index, str(tmp_path / "a"))
    assert verify(tmp_path, merged.vectors).read_bytes() == (tmp_path / "a").read_bytes()


def test_merging_is_deterministic_and_in_steps_the_same_for_the_reader(tmp_path: Path) -> None:
    written = _written(tmp_path, [contents([n], chunks=5) for n in (3, 1, 2)])
    everything = [np.ones(5, np.bool_)] * 3
    inputs = [(tmp_path / w.chunks.name, mask) for w, mask in zip(written, everything, strict=True)]
    assert chunkbuild.merge({}, inputs) == chunkbuild.merge({}, inputs)
    half = merge_segments(tmp_path, _inputs(written[:2], everything[:2]), TARGET)
    whole = merge_segments(
        tmp_path,
        _inputs([half, written[2]], [np.ones(10, np.bool_), everything[2]]),
        Target(SegmentId(100, 8), "id-1", "cosine", DIMENSIONS),
    )
    with ChunkFile(tmp_path / whole.chunks.name) as opened:
        assert opened.texts(range(15)) == [chunk_text(v, n) for v in (3, 1, 2) for n in range(5)]


def test_a_document_over_several_segments_keeps_all_its_text(tmp_path: Path) -> None:
    """Its pieces overlap, begin alike in two segments, and the first segment keeps none of its rows."""
    whole = contents([1], chunks=6)
    text = whole.texts[0].text
    middle = whole.chunks[3].start
    early = [TextRecord(1, 0, text[: middle + 5]), TextRecord(1, middle, text[middle : middle + 5])]
    first = SegmentContents(whole.vectors[:3], whole.chunks[:3], whole.versions, early)
    second = SegmentContents(
        whole.vectors[3:], whole.chunks[3:], whole.versions,
        [TextRecord(1, 0, text[:9]), TextRecord(1, middle, text[middle:])],
    )  # fmt: skip
    written = _written(tmp_path, [first, second])
    merged = merge_segments(tmp_path, _inputs(written, [np.zeros(3, np.bool_), np.ones(3, np.bool_)]), TARGET)
    with ChunkFile(tmp_path / merged.chunks.name) as opened:
        parts = [(part.start, part.text) for part in opened.text_of_version(1)]
        assert stitch(parts, 0, len(text)) == text
        assert opened.versions() == whole.versions


@pytest.mark.parametrize("kind", ["vectors", "chunks"])
def test_damaged_inputs_are_found_before_anything_is_written(tmp_path: Path, kind: str) -> None:
    written = _written(tmp_path, [contents([1]), contents([2])])
    flip(tmp_path / getattr(written[1], kind).name, 999)
    before = sorted((tmp_path / "segments").iterdir())
    with pytest.raises(Corrupt):
        merge_segments(tmp_path, _inputs(written, [np.ones(3, np.bool_)] * 2), TARGET)
    assert sorted((tmp_path / "segments").iterdir()) == before


def test_a_merge_of_nothing_is_refused(tmp_path: Path) -> None:
    written = _written(tmp_path, [contents([1])])
    with pytest.raises(ValueError, match="0 rows"):
        merge_segments(tmp_path, _inputs(written, [np.zeros(3, np.bool_)]), TARGET)


def test_rows_that_died_during_a_merge_are_dead_in_its_output() -> None:
    kept = [np.array([True, False, True]), np.array([True, True])]
    now = [np.array([False, False, True]), np.array([True, False])]
    assert alive_after(kept, now).tolist() == [False, True, True, False]


def test_large_segments_are_copied_in_blocks(tmp_path: Path) -> None:
    vectors = unit_vectors(10_000, 1)
    (tmp_path / "a").write_bytes(flatfile.encode("cosine", vectors))
    kept = np.ones(10_000, np.bool_)
    kept[[0, 5_000, 9_999]] = False
    copied = list(flatfile.kept_bytes(tmp_path / "a", "cosine", DIMENSIONS, kept))
    assert len(copied) == 3
    assert b"".join(copied) == vectors[kept].tobytes()
