"""Which rows of a segment are alive: a small header and one bit per row."""

import struct
from pathlib import Path

import numpy as np

from service.errors import Corrupt
from service.index.files import StoredFile, verify, write_new
from service.index.records import Mask

_HEADER = struct.Struct("<8sII")  # magic, rows, rows alive
_MAGIC = b"TSLIVE01"


def write_live(root: Path, name: str, alive: Mask) -> StoredFile:
    """Create the file (see `records.live_name`). Raises FileExistsError, TryAgain."""
    return write_new(root, name, encode_live(alive), "live")


def read_live(root: Path, stored: StoredFile) -> Mask:
    """The rows alive, shape (rows,), from a file verified here. Raises Corrupt."""
    path = verify(root, stored)
    try:
        return decode_live(path.read_bytes())
    except ValueError as error:
        raise Corrupt(path, "a live file", str(error)) from error


def encode_live(alive: Mask) -> bytes:
    """Header, then bits from the least significant one of each byte on, as FAISS's selectors want them."""
    return (
        _HEADER.pack(_MAGIC, len(alive), int(alive.sum())) + np.packbits(alive, bitorder="little").tobytes()
    )


def decode_live(data: bytes) -> Mask:
    """Reverse of `encode_live`. Raises ValueError."""
    magic, rows, count = _HEADER.unpack(data[: _HEADER.size].ljust(_HEADER.size))
    bits = np.frombuffer(data, np.uint8)[_HEADER.size :]
    if magic != _MAGIC or len(bits) != (rows + 7) // 8:
        raise ValueError("not a live file of its length")
    alive = np.unpackbits(bits, count=rows, bitorder="little").astype(np.bool_)
    if alive.sum() != count:
        raise ValueError(f"{alive.sum()} rows alive where the header says {count}")
    return alive
