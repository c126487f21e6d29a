"""The model's own tokenizer."""

import ctypes
from pathlib import Path

import llama_cpp

from service.embedders.native import NativeModel


class Tokenizer:
    """Sees a text as the model will: special tokens added, none read out of the text itself."""

    def __init__(self, path: Path, loaded: NativeModel | None = None) -> None:
        """Load the vocabulary of the GGUF at `path`, unless that is `loaded`. Raises NotFound, Refused."""
        self._model = loaded or NativeModel(path, vocab_only=True)
        self._vocabulary = self._model.vocabulary
        self._tokenize = llama_cpp.llama_tokenize

    def count(self, text: str) -> int:
        """Tokens of `text`, special tokens included. Thread-safe."""
        data = text.encode(errors="replace")
        count: int = self._tokenize(self._vocabulary, data, len(data), None, 0, True, False)
        return -count  # what would have been written, had there been room

    def encode(self, text: str) -> list[int]:
        """Token ids of `text`, special tokens included. Thread-safe."""
        data = text.encode(errors="replace")
        room = len(data) + 8  # rarely more tokens than bytes
        while True:
            buffer = (ctypes.c_int32 * room)()
            count: int = self._tokenize(self._vocabulary, data, len(data), buffer, room, True, False)
            if count >= 0:
                return buffer[:count]
            room = -count
