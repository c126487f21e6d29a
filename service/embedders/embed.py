"""The model's rules around an engine: tokenise, refuse what is too long, pack, normalise."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from service.core.space import Space
from service.embedders.engine import Engine
from service.embedders.packing import pack
from service.embedders.tokens import Tokenizer
from service.ports import Float32Matrix


@dataclass(frozen=True)
class Embedded:
    """A row and a token count per text; the row of a text beyond the window is zero and means nothing."""

    rows: Float32Matrix
    tokens: list[int]


def embed(texts: Sequence[str], tokenizer: Tokenizer, engine: Engine, space: Space) -> Embedded:
    """Shape (len(texts), space.dimensions), L2-normalised where the space is. No prefix is added here."""
    sequences = [tokenizer.encode(text) for text in texts]
    rows = np.zeros((len(texts), space.dimensions), dtype=np.float32)
    fitting = [at for at, tokens in enumerate(sequences) if 0 < len(tokens) <= space.max_tokens]
    for group in pack([len(sequences[at]) for at in fitting]):
        places = [fitting[position] for position in group]
        rows[places] = engine.decode([sequences[at] for at in places])
    if space.normalised:
        rows /= np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), np.finfo(np.float32).tiny)
    return Embedded(rows, [len(tokens) for tokens in sequences])
