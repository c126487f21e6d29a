"""A process of `bench_pool`: the bare engine on texts that never leave it. Reads "texts tokens" lines."""

import os
import sys
import time

from service.embedders.embed import embed
from service.embedders.engine import LlamaEngine
from service.embedders.gguf_facts import read_space
from service.embedders.native import NativeModel
from service.embedders.tokens import Tokenizer
from tests.bench.texts import sample_texts
from tests.model import default_model


def main() -> None:
    """Argument: weights. Answers each line with the tokens per second it reached alone, 64 texts at a time."""
    path = default_model(sys.argv[1])
    model, space = NativeModel(path), read_space(path)
    tokenizer, engine = Tokenizer(path, model), LlamaEngine(model, space)
    os.nice(10)  # as the pool's children are
    for line in sys.stdin:
        count, words = map(int, line.split())
        texts = sample_texts(count, words)
        start, tokens = time.perf_counter(), 0
        for first in range(0, count, 64):
            tokens += sum(embed(texts[first : first + 64], tokenizer, engine, space).tokens)
        print(tokens / (time.perf_counter() - start), flush=True)


if __name__ == "__main__":
    main()
