"""File names as keys and the ledger can have them, and back."""

import os
import re

_MARK = "\N{REPLACEMENT CHARACTER}"
_NOT_TEXT = re.compile(f"[{_MARK}\udc80-\udcff]")
_BYTE = re.compile(f"{_MARK}([0-9A-F]{{2}})")


def storable_name(name: str) -> str:
    """A name as keys and the ledger can have it: a byte that is not UTF-8 becomes U+FFFD and two hex digits.

    So does every byte of a U+FFFD that the name itself has: different names stay different.
    """
    return _NOT_TEXT.sub(lambda match: "".join(f"{_MARK}{byte:02X}" for byte in os.fsencode(match[0])), name)


def name_on_disk(name: str) -> str:
    """The name, or path, that `storable_name` was given."""
    if _MARK not in name:
        return name
    return os.fsdecode(os.fsencode(_BYTE.sub(lambda match: os.fsdecode(bytes.fromhex(match[1])), name)))
