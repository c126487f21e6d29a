"""How much of the bare engine's speed the pool delivers: `python -m tests.bench.bench_pool [rounds]`."""

import statistics
import subprocess
import sys
import time
from contextlib import closing

from service.embedders.gguf_facts import read_space
from service.embedders.machine import choose_weights, usable_cores
from service.embedders.pool import LlamaPool
from tests.bench.texts import sample_texts
from tests.model import default_model

KINDS = {"chunks of ~230 tokens": (120, 210), "short texts of ~20 tokens": (1200, 18)}  # texts, words


class Raw:
    """One process per core, each with an engine and its share of the texts."""

    def __init__(self, weights: str, processes: int) -> None:
        command = [sys.executable, "-m", "tests.bench.raw_engine", weights]
        self._processes = [
            subprocess.Popen(command, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
            for _ in range(processes)
        ]

    def tokens_per_second(self, count: int, words: int) -> float:
        for process in self._processes:
            assert process.stdin is not None
            print(count // len(self._processes), words, file=process.stdin, flush=True)
        return sum(float(process.stdout.readline()) for process in self._processes if process.stdout)

    def close(self) -> None:
        for process in self._processes:
            process.communicate("")


def pool_tokens_per_second(pool: LlamaPool, count: int, words: int) -> float:
    texts, before, start = sample_texts(count, words), pool.tokens, time.perf_counter()
    for future in [pool.submit(text) for text in texts]:
        future.result()
    return (pool.tokens - before) / (time.perf_counter() - start)


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    weights, cores = choose_weights(), usable_cores()
    path = default_model(weights)
    print(f"{path.name}, {cores} processes, medians of {rounds} interleaved rounds")
    with closing(Raw(weights, cores)) as raw, closing(LlamaPool(path, read_space(path), cores)) as pool:
        for name, (count, words) in KINDS.items():
            raw.tokens_per_second(cores * 8, words)
            pool_tokens_per_second(pool, cores * 8, words)
            pairs = [
                (raw.tokens_per_second(count, words), pool_tokens_per_second(pool, count, words))
                for _ in range(rounds)
            ]
            bare, pooled = (statistics.median(column) for column in zip(*pairs, strict=True))
            ratio = statistics.median(pooled / bare for bare, pooled in pairs)
            print(f"{name}: bare {bare:,.0f} tokens/s, pool {pooled:,.0f} tokens/s, ratio {ratio:.3f}")


if __name__ == "__main__":
    main()
