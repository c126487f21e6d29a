"""What decides what a vector means (space) and how text becomes chunks (recipe)."""

import hashlib
import json
from dataclasses import asdict, dataclass


@dataclass(frozen=True, slots=True)
class Space:
    """The identity of an embedding space; two spaces are the same iff their fingerprints are equal."""

    model: str  # canonical identity of tensors, tokenizer and pooling, e.g. "all-MiniLM-L6-v2@53aa51172d14"
    weights: str  # "float" for F32, F16 and BF16 (interchangeable), else the exact quantisation
    dimensions: int
    pooling: str
    normalised: bool
    prefix: str  # put before every document chunk
    query_prefix: str  # put before every query
    max_tokens: int  # the longest input, special tokens and prefix included

    @property
    def fingerprint(self) -> str:
        return _digest(asdict(self))


@dataclass(frozen=True, slots=True)
class Recipe:
    """How text becomes chunks; another recipe makes a document stale, never wrong."""

    parser: int
    cleaner: int
    chunker: int
    max_tokens: int  # of one chunk, special tokens and prefix included
    overlap_tokens: int

    @property
    def fingerprint(self) -> str:
        return _digest(asdict(self))


def _digest(values: dict[str, object]) -> str:
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()[:16]
