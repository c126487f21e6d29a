"""A deterministic embedder without a model: a text's vector is drawn from its hash."""

import hashlib
from concurrent.futures import Future
from dataclasses import replace

import numpy as np

from service.core.space import Space
from service.errors import Stopped, TooLong
from service.ports import Float32Vector

FAKE_SPACE = Space(
    model="fake@0",
    weights="float",
    dimensions=16,
    pooling="mean",
    normalised=True,
    prefix="",
    query_prefix="",
    max_tokens=512,
)
OTHER_SPACE = replace(FAKE_SPACE, model="fake@1", dimensions=24, prefix="passage: ")


class FakeEmbedder:
    """Implements `Embedder`; answers before `submit` returns. Four characters are a token."""

    def __init__(self, space: Space = FAKE_SPACE) -> None:
        self.space = space
        self.texts: list[str] = []
        self._closed = False

    def submit(self, text: str) -> Future[Float32Vector]:
        if self._closed:
            raise Stopped("The embedder was closed.")
        self.texts.append(text)
        future: Future[Float32Vector] = Future()
        try:
            future.set_result(self._vector(self.space.prefix + text))
        except TooLong as error:
            future.set_exception(error)
        return future

    def embed_query(self, text: str) -> Float32Vector:
        return self._vector(self.space.query_prefix + text)

    def close(self) -> None:
        self._closed = True

    def _vector(self, text: str) -> Float32Vector:
        tokens = 2 + -(-len(text) // 4)
        if tokens > self.space.max_tokens:
            raise TooLong(tokens, self.space.max_tokens)
        seed = int.from_bytes(hashlib.sha256(text.encode(errors="replace")).digest()[:8])
        row = np.random.default_rng(seed).standard_normal(self.space.dimensions).astype(np.float32)
        return row / np.linalg.norm(row)
