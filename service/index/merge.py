"""Writing one segment with the kept rows of several, by copying."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Protocol

import numpy as np

from service.index import chunkbuild, flatfile
from service.index.files import StoredFile, sync_folder, verify, write_new, write_stream
from service.index.records import MAX_ROWS, Mask, WrittenSegment
from service.index.segment import meta_of


@dataclass(frozen=True, slots=True)
class MergeInput:
    """A flat segment, and which of its rows to keep: those alive, and any that a coming commit makes live."""

    vectors: StoredFile
    chunks: StoredFile
    kept: Mask


class Named(Protocol):
    """What says where the merged files go: a segment's id, or a place in the scratch folder."""

    @property
    def number(self) -> int: ...
    @property
    def vectors(self) -> str: ...
    @property
    def chunks(self) -> str: ...


@dataclass(frozen=True, slots=True)
class Target:
    """What the merged segment is to be."""

    segment: Named
    collection_id: str
    metric: str
    dimensions: int


def merge_segments(root: Path, inputs: Sequence[MergeInput], target: Target) -> WrittenSegment:
    """Verify the inputs, write their kept rows in order as one segment, sync the folder; inputs stay.

    Vectors are streamed; memory holds the new `.chunks` file twice. Raises Corrupt, FileExistsError,
    TryAgain, and ValueError where no row is kept, or more than MAX_ROWS.
    """
    rows = sum(int(given.kept.sum()) for given in inputs)
    if not 0 < rows <= MAX_ROWS:
        raise ValueError(f"{rows} rows to keep; from 1 to {MAX_ROWS}")
    vector_paths = [verify(root, given.vectors) for given in inputs]
    chunk_paths = [verify(root, given.chunks) for given in inputs]
    masks = [given.kept for given in inputs]
    meta = meta_of(target.segment.number, target.collection_id, target.dimensions)
    chunks = chunkbuild.merge(meta, list(zip(chunk_paths, masks, strict=True)))
    written = WrittenSegment(
        write_stream(root, target.segment.vectors, _vectors(vector_paths, masks, target), "vectors"),
        write_new(root, target.segment.chunks, chunks, "chunks"),
        rows,
    )
    sync_folder((root / target.segment.vectors).parent)
    return written


def alive_after(kept: Sequence[Mask], alive_now: Sequence[Mask]) -> Mask:
    """The rows alive in a merged segment, given what was kept of each input and what is alive there now."""
    return np.concatenate([now[then] for then, now in zip(kept, alive_now, strict=True)])


def _vectors(paths: Sequence[Path], masks: Sequence[Mask], target: Target) -> Iterator[bytes]:
    rows = sum(int(mask.sum()) for mask in masks)
    copied = (
        flatfile.kept_bytes(path, target.metric, target.dimensions, mask)
        for path, mask in zip(paths, masks, strict=True)
    )
    return chain([flatfile.header(target.metric, target.dimensions, rows)], *copied)
