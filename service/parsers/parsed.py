"""What a parser is given and what it gives back."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

PARSER_VERSION = 1

ENCRYPTED, NO_TEXT, EMPTY, TOO_SHORT, TOO_LARGE, UNKNOWN_TYPE = (
    "encrypted",
    "no_text",
    "empty",
    "too_short",
    "too_large",
    "unknown_type",
)
NO_PERMISSION = "no_permission"
OUT_OF_MEMORY_STATUS = 77  # with which a child ends that could not get more memory
DAMAGED, OUT_OF_MEMORY, TIMED_OUT, PARSER_DIED = "damaged", "out_of_memory", "timed_out", "parser_died"


@dataclass(frozen=True, slots=True)
class Raw:
    """One file as it was read: its name, its bytes and, where they are text, their text."""

    path: Path
    data: bytes
    text: str

    @property
    def suffix(self) -> str:
        """In lower case and without the dot."""
        return self.path.suffix.lower().lstrip(".")


@dataclass(frozen=True, slots=True)
class Parsed:
    """One document, not cleaned yet."""

    record: str  # "" for the file itself, else the id of the record inside it
    title: str  # "" when the document does not say
    text: str
    metadata: Mapping[str, str] = field(default_factory=dict)
    keep_indentation: bool = False


@dataclass(frozen=True, slots=True)
class BadRecord:
    """A record that could not be read; the others go on."""

    record: str
    outcome: str  # "skipped" or "failed"
    reason: str
    detail: str
