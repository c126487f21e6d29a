"""A plain FAISS file of a flat index: a header that FAISS makes, then the rows as they are."""

import errno
import os
import struct
from collections.abc import Iterator, Sequence
from pathlib import Path

import faiss
import numpy as np

from service.index.records import Mask, Vectors

METRICS = {"cosine": faiss.IndexFlatIP, "l2": faiss.IndexFlatL2}  # cosine: the rows are normalised

_COUNT_AT = 8  # after the four-letter type and the dimensions: the number of rows, int64
_BLOCK_ROWS = 4_096


def header(metric: str, dimensions: int, rows: int) -> bytes:
    """What stands before the rows; it ends with the number of floats that follow, uint64."""
    empty = bytearray(faiss.serialize_index(METRICS[metric](dimensions)))
    struct.pack_into("<q", empty, _COUNT_AT, rows)
    struct.pack_into("<Q", empty, len(empty) - 8, rows * dimensions)
    return bytes(empty)


def encode(metric: str, vectors: Vectors) -> bytes:
    """The bytes that `faiss.write_index` writes. Raises ValueError unless given finite float32 rows."""
    if vectors.dtype != np.float32 or vectors.ndim != 2 or not np.isfinite(vectors).all():
        raise ValueError("vectors must be finite float32, shape (rows, dimensions)")
    return header(metric, vectors.shape[1], len(vectors)) + vectors.tobytes()


def mapped(path: Path) -> faiss.Index:
    """A verified file, mapped and not read. Raises OSError."""
    try:
        return faiss.read_index(str(path), faiss.IO_FLAG_MMAP_IFC)
    except RuntimeError as error:  # all that FAISS says of a disk that does not give it out
        met = (number for number in errno.errorcode if os.strerror(number) in str(error))
        raise OSError(next(met, errno.EIO), str(error)) from error


def read_rows(path: Path, dimensions: int, rows: Sequence[int]) -> Vectors:
    """Some rows of a verified file, in the order asked for, shape (len(rows), dimensions)."""
    index = mapped(path)
    if not rows:
        return np.empty((0, dimensions), np.float32)
    found: Vectors = index.reconstruct_batch(np.asarray(rows, np.int64))
    return found


def kept_bytes(path: Path, metric: str, dimensions: int, kept: Mask) -> Iterator[bytes]:
    """The payload of the kept rows of a verified file, in blocks, copied and never interpreted."""
    with path.open("rb") as file:
        file.seek(len(header(metric, dimensions, 0)))
        for first in range(0, len(kept), _BLOCK_ROWS):
            mask = kept[first : first + _BLOCK_ROWS]
            block = file.read(len(mask) * dimensions * 4)
            if mask.all():
                yield block
            elif mask.any():
                yield np.frombuffer(block, np.uint8).reshape(len(mask), -1)[mask].tobytes()
