"""The seam for engines: token sequences in, one pooled row each out."""

import ctypes
from collections.abc import Sequence
from typing import Any, Protocol

import llama_cpp
import numpy as np

from service.core.space import Space
from service.embedders.native import NativeModel
from service.embedders.packing import SEQUENCES_PER_DECODE
from service.errors import Refused
from service.ports import Float32Matrix

_LEAST_WIDTH = 512
_POOLINGS = {
    "mean": llama_cpp.LLAMA_POOLING_TYPE_MEAN,
    "cls": llama_cpp.LLAMA_POOLING_TYPE_CLS,
    "last": llama_cpp.LLAMA_POOLING_TYPE_LAST,
}


class Engine(Protocol):
    """Runs a model. Tokenising, packing and normalising are the model's rules and happen outside."""

    def decode(self, sequences: Sequence[Sequence[int]]) -> Float32Matrix:
        """One pooled row per sequence, not normalised, shape (len(sequences), dimensions).

        At most SEQUENCES_PER_DECODE sequences, none empty, within the engine's width in sum.
        """


class LlamaEngine:
    """llama.cpp on one thread with flash attention."""

    def __init__(self, model: NativeModel, space: Space) -> None:
        """Raises Refused where llama.cpp cannot make a context, or the model's rows have another width."""
        # Narrower than the model's dimensions aborts the process, wider than needed halves the speed.
        self.width = max(_LEAST_WIDTH, space.dimensions, space.max_tokens)
        self._dimensions = space.dimensions
        if llama_cpp.llama_model_n_embd_out(model.handle) != space.dimensions:
            raise Refused(f"The model's rows do not have the {space.dimensions} dimensions its file states.")
        self._context: Any = llama_cpp.llama_init_from_model(model.handle, self._parameters(space.pooling))
        if not self._context:
            raise Refused("llama.cpp cannot make a context for this model: choose another, or free memory.")
        self._memory: Any = llama_cpp.llama_get_memory(self._context)  # None where there is no cache: BERT
        self._batch = _Batch(self.width)

    def _parameters(self, pooling: str) -> Any:
        parameters = llama_cpp.llama_context_default_params()
        parameters.n_ctx = parameters.n_batch = parameters.n_ubatch = self.width
        parameters.n_seq_max = SEQUENCES_PER_DECODE
        parameters.kv_unified = True  # else each sequence gets 1/64 of the context
        parameters.n_threads = parameters.n_threads_batch = 1
        parameters.flash_attn_type = llama_cpp.LLAMA_FLASH_ATTN_TYPE_ENABLED
        parameters.pooling_type = _POOLINGS[pooling]
        parameters.embeddings = True
        parameters.offload_kqv = False
        parameters.no_perf = True
        return parameters

    def decode(self, sequences: Sequence[Sequence[int]]) -> Float32Matrix:
        """See `Engine`. Raises Refused when llama.cpp reports an error."""
        total = sum(map(len, sequences))
        assert total <= self.width, f"{total} tokens in a decode of {self.width} would abort the process"
        if self._memory:
            llama_cpp.llama_memory_clear(self._memory, False)
        run = llama_cpp.llama_decode if self._memory else llama_cpp.llama_encode
        status = run(self._context, self._batch.filled(sequences))
        if status:
            raise Refused(f"llama.cpp cannot decode with this model (status {status}): choose another.")
        rows = np.empty((len(sequences), self._dimensions), dtype=np.float32)
        for number, row in enumerate(rows):
            pooled = llama_cpp.llama_get_embeddings_seq(self._context, number)
            row[:] = np.ctypeslib.as_array(pooled, shape=(self._dimensions,))
        return rows


class _Batch:
    """llama.cpp's batch over arrays of our own, filled anew for each decode."""

    def __init__(self, width: int) -> None:
        self._tokens = np.zeros(width, dtype=np.int32)
        self._positions = np.zeros(width, dtype=np.int32)
        self._sequences = np.zeros(width, dtype=np.int32)
        self._ones = np.ones(width, dtype=np.int32)
        self._outputs = np.ones(width, dtype=np.int8)
        integer = ctypes.POINTER(ctypes.c_int32)
        step, start = self._sequences.itemsize, self._sequences.ctypes.data
        cells = [ctypes.cast(start + step * at, integer) for at in range(width)]
        self._cells = (integer * width)(*cells)  # each token's list of sequences: one cell of `_sequences`
        self._struct = llama_cpp.llama_batch(
            n_tokens=0,
            token=self._tokens.ctypes.data_as(integer),
            embd=None,
            pos=self._positions.ctypes.data_as(integer),
            n_seq_id=self._ones.ctypes.data_as(integer),
            seq_id=self._cells,
            logits=self._outputs.ctypes.data_as(ctypes.POINTER(ctypes.c_int8)),
        )

    def filled(self, sequences: Sequence[Sequence[int]]) -> Any:
        start = 0
        for number, tokens in enumerate(sequences):
            end = start + len(tokens)
            self._tokens[start:end] = tokens
            self._positions[start:end] = np.arange(len(tokens))
            self._sequences[start:end] = number
            start = end
        self._struct.n_tokens = start
        return self._struct
