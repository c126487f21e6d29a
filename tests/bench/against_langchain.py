"""`tidestone ingest` beside LangChain's FAISS with `LlamaCppEmbeddings`: `python -m tests.bench.against_langchain`.

Both embed the same chunks of the same documents. The baseline has Q8_0 weights and default settings, saves the whole
index after every 100 documents, and is given its chunks: its times hold neither parsing nor loading the model.
Tidestone's hold both. It needs the extra `bench`, in this interpreter or in the one named by --baseline-python.
"""

import json
import statistics
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from service.core.chunk import chunk
from service.embedders.native import NativeModel
from service.embedders.tokens import Tokenizer
from tests.bench.commands import Run, chunk_texts, ingest, workplace
from tests.bench.corpus import paragraphs
from tests.bench.measure import arguments, show, verdict
from tests.model import default_model
from tests.running import Place

_CHARACTERS_PER_DOCUMENT = (
    1_300  # more than 256 tokens of any English text, so that there is enough to cut from
)
_SAVE_EVERY = 100


@dataclass(frozen=True)
class Baseline:
    """Seconds of the whole, and of its saves."""

    seconds: float
    saving: float


def write_documents(folder: Path, count: int) -> None:
    """`count` files of one chunk each, 256 tokens at most."""
    model = default_model()
    tokenizer = Tokenizer(model, NativeModel(model))
    text = "\n\n".join(paragraphs(count * _CHARACTERS_PER_DOCUMENT))
    cuts = chunk(text, tokenizer.count, 256, 0)
    for number, cut in zip(range(count), cuts, strict=False):
        path = folder / f"{number // 100:03}" / f"{number:05}.txt"
        path.parent.mkdir(exist_ok=True)
        path.write_text(text[cut.start : cut.stop])


def baseline(python: str, documents: list[list[str]]) -> Baseline:
    """The other pipeline, once."""
    with tempfile.TemporaryDirectory() as folder:
        script = Path(__file__).with_name("langchain_baseline.py")
        command = [python, str(script), str(default_model("q8_0")), str(_SAVE_EVERY), folder]
        done = subprocess.run(command, input=json.dumps(documents), text=True, capture_output=True)
    if done.returncode:
        sys.exit(f"The baseline failed: does {python} have the extra `bench`?\n{done.stderr[-2000:]}")
    return Baseline(**json.loads(done.stdout.splitlines()[-1]))


def main() -> None:
    given = arguments(__doc__, documents=2_000, rounds=1, baseline_python=sys.executable)
    if given.quick:
        given.documents = min(given.documents, 200)
    with tempfile.TemporaryDirectory() as made:
        place = workplace(Path(made))
        write_documents(place.library, given.documents)
        rounds = [_round(place, given.baseline_python) for _ in range(given.rounds)]
    print(f"{given.documents} documents, {rounds[0][0].tokens:,} tokens, saved every {_SAVE_EVERY} documents")
    _tell(rounds)


def _round(place: Place, python: str) -> tuple[Run, Baseline, Run]:
    """The other pipeline between two runs of ours: a load that changes slowly hits both alike."""
    before = ingest(place)
    theirs = baseline(python, chunk_texts(place))
    return before, theirs, ingest(place)


def _tell(rounds: list[tuple[Run, Baseline, Run]]) -> None:
    tokens = rounds[0][0].tokens
    ours = [statistics.mean((before.job_seconds, after.job_seconds)) for before, _, after in rounds]
    theirs = [middle for _, middle, _ in rounds]
    with_saves = [other.seconds / mine for other, mine in zip(theirs, ours, strict=True)]
    without = [(other.seconds - other.saving) / mine for other, mine in zip(theirs, ours, strict=True)]
    show(
        ("tidestone tokens/s", "langchain tokens/s", "its saves, s", "ratio", "ratio without saves"),
        [
            (tokens / mine, tokens / other.seconds, other.saving, *ratios)
            for mine, other, *ratios in zip(ours, theirs, with_saves, without, strict=True)
        ],
    )
    verdict("tidestone to langchain, its saves included", statistics.median(with_saves), 3.5, at_least=True)
    print(f"without its saves: {statistics.median(without):.3f}")


if __name__ == "__main__":
    main()
