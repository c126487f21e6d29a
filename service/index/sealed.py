"""JSON files that carry the hash of their own bytes."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

_MARK = b',"sha256":"'


class Unsealed(ValueError):
    """The bytes are not what was sealed: torn, flipped or never sealed."""


def seal(values: Mapping[str, Any]) -> bytes:
    """Canonical JSON of a non-empty object, with a last field `sha256` over every byte before that field."""
    body = json.dumps(values, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()[:-1]
    return body + _MARK + hashlib.sha256(body).hexdigest().encode() + b'"}\n'


def unseal(data: bytes) -> dict[str, Any]:
    """The object that was sealed, without `sha256`. Raises Unsealed when any byte differs."""
    body, mark, tail = data.rpartition(_MARK)
    if not mark or tail != hashlib.sha256(body).hexdigest().encode() + b'"}\n':
        raise Unsealed("its bytes do not have the hash that it carries")
    values: dict[str, Any] = json.loads(body + b"}")
    return values
