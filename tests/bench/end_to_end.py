"""`tidestone ingest` of real text beside the bare pool on the same chunks: `python -m tests.bench.end_to_end`.

Both begin without children: loading the model is in both times. The command's own start and end (imports, ledger,
summary) are shown apart.
"""

import tempfile
import time
from contextlib import closing
from pathlib import Path

from service.embedders.gguf_facts import read_space
from service.embedders.machine import choose_weights
from service.embedders.pool import LlamaPool
from tests.bench.commands import Run, chunk_texts, ingest, workplace
from tests.bench.corpus import write_library
from tests.bench.measure import arguments, median_ratio, show, verdict
from tests.model import default_model
from tests.running import Place


def bare_pool(texts: list[str], tokens: int) -> float:
    """Seconds for all texts, from the first child's start to the last vector."""
    model = default_model(choose_weights())
    began = time.perf_counter()
    with closing(LlamaPool(model, read_space(model))) as pool:
        for future in [pool.submit(text) for text in texts]:
            future.result()
        seconds = time.perf_counter() - began
        if pool.tokens != tokens:
            raise SystemExit(
                f"The job embedded {tokens} tokens, the pool {pool.tokens}: not the same chunks."
            )
    return seconds


def main() -> None:
    given = arguments(__doc__, rounds=3, characters=2_500_000)
    if given.quick:
        given.rounds, given.characters = 1, min(given.characters, 300_000)
    with tempfile.TemporaryDirectory() as made:
        place = workplace(Path(made))
        files = write_library(place.library, given.characters)
        pairs = [_round(place) for _ in range(given.rounds)]
    print(f"{files} files, {pairs[0][0].tokens:,} tokens, {given.rounds} interleaved rounds")
    _tell(pairs)


def _round(place: Place) -> tuple[Run, float]:
    run = ingest(place)
    texts = dict.fromkeys(text for document in chunk_texts(place) for text in document)
    return run, bare_pool(list(texts), run.tokens)


def _tell(pairs: list[tuple[Run, float]]) -> None:
    show(
        ("job tokens/s", "bare tokens/s", "ratio", "start and end, s"),
        [
            (run.tokens / run.job_seconds, run.tokens / bare, bare / run.job_seconds,
             run.command_seconds - run.job_seconds)
            for run, bare in pairs
        ],
    )  # fmt: skip
    bare = [seconds for _, seconds in pairs]
    verdict("job to bare pool", median_ratio(bare, [run.job_seconds for run, _ in pairs]), 0.9, at_least=True)
    whole = median_ratio(bare, [run.command_seconds for run, _ in pairs])
    print(f"with the command's start and end: {whole:.3f}")


if __name__ == "__main__":
    main()
