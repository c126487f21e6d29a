"""A model loaded by llama.cpp, through its C API."""

import ctypes
import sys
from pathlib import Path
from typing import Any

import llama_cpp

from service.errors import NotFound, Refused

_ERROR = 4  # ggml's; the binding's own callback has the numbers of an older ggml and hides errors


@llama_cpp.llama_log_callback  # type: ignore[untyped-decorator]
def _LOG(level: int, text: bytes, _: object) -> None:  # noqa: N802 - a constant: it has to outlive every model
    if level == _ERROR:
        sys.stderr.write(text.decode(errors="replace"))


class NativeModel:
    """Owns llama.cpp's model. `vocab_only` reads the tokenizer and leaves the tensors alone."""

    def __init__(self, path: Path, vocab_only: bool = False) -> None:
        """Raises NotFound, and Refused when llama.cpp cannot load the file; its own words go to stderr."""
        if not path.is_file():
            raise NotFound("model file", str(path))
        llama_cpp.llama_log_set(_LOG, ctypes.c_void_p(0))
        llama_cpp.llama_backend_init()
        parameters = llama_cpp.llama_model_default_params()
        parameters.vocab_only = vocab_only
        parameters.n_gpu_layers = 0
        parameters.load_mode = llama_cpp.LLAMA_LOAD_MODE_MMAP  # children share the tensors' pages
        self.handle: Any = llama_cpp.llama_model_load_from_file(str(path).encode(), parameters)
        if not self.handle:
            raise Refused(f"llama.cpp cannot load {path}: build or copy the model again, or choose another.")
        self.vocabulary: Any = llama_cpp.llama_model_get_vocab(self.handle)

    def close(self) -> None:
        """Free the memory; nothing made from the model may be used after."""
        if self.handle:
            llama_cpp.llama_model_free(self.handle)
            self.handle = None
