"""The head of a GGUF file: its metadata and its tensors' types, without the tensors.

Layout: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
"""

import mmap
import struct
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from service.errors import NotFound, Refused

Scalar = int | float | bool | str

_LAYOUTS = ["B", "b", "H", "h", "I", "i", "f", "?", "", "", "Q", "q", "d"]  # by GGUF's number of a type
_STRING, _ARRAY = 8, 9


@dataclass(frozen=True)
class Header:
    """What a GGUF file says of itself."""

    values: Mapping[str, Scalar]  # all but arrays
    raw: Mapping[str, bytes]  # every value as it stands in the file, arrays included
    tensor_types: Mapping[int, int]  # GGML's number of a type -> count of tensors


def read_header(path: Path) -> Header:
    """Raises NotFound, and Refused for anything but a whole GGUF header."""
    if not path.is_file():
        raise NotFound("model file", str(path))
    try:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            return _Cursor(data).header()
    except (struct.error, ValueError, IndexError) as error:
        raise Refused(
            f"{path} is not a GGUF model, or is cut short ({error}): build or copy it again."
        ) from error


class _Cursor:
    def __init__(self, data: mmap.mmap) -> None:
        self._data, self._at = data, 0

    def header(self) -> Header:
        if self._take(4) != b"GGUF" or self._number("<I") not in (2, 3):
            raise ValueError("no GGUF magic of version 2 or 3")
        tensors, pairs = self._number("<Q"), self._number("<Q")
        values: dict[str, Scalar] = {}
        raw: dict[str, bytes] = {}
        for _ in range(pairs):
            key, start = self._text().decode(), self._at
            value = self._value(self._number("<I"))
            raw[key] = self._data[start : self._at]
            if value is not None:
                values[key] = value
        return Header(values, raw, Counter(self._tensor_type() for _ in range(tensors)))

    def _value(self, kind: int) -> Scalar | None:
        """A scalar or string; an array is stepped over and None."""
        if kind == _STRING:
            return self._text().decode(errors="replace")
        if kind != _ARRAY:
            return self._number("<" + _LAYOUTS[kind])
        item_kind, count = self._number("<I"), self._number("<Q")
        if item_kind == _STRING:
            for _ in range(count):
                self._skip(self._number("<Q"))
        else:
            self._skip(count * struct.calcsize("<" + _LAYOUTS[item_kind]))
        return None

    def _tensor_type(self) -> int:
        self._text()
        self._skip(8 * self._number("<I"))
        kind = self._number("<I")
        self._skip(8)
        return kind

    def _number(self, layout: str) -> int:
        (number,) = struct.unpack_from(layout, self._data, self._at)
        self._at += struct.calcsize(layout)
        return number  # type: ignore[no-any-return]

    def _text(self) -> bytes:
        return self._take(self._number("<Q"))

    def _take(self, count: int) -> bytes:
        start = self._at
        self._skip(count)
        return self._data[start : self._at]

    def _skip(self, count: int) -> None:
        self._at += count
        if self._at > len(self._data):
            raise ValueError("a length points beyond the end")
