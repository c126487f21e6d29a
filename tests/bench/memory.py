"""Memory of the service while it ingests a 20 MB text and many files: `python -m tests.bench.memory`.

PSS (memory that processes share is divided among them), sampled a few times a second; the highest sums and shares
count. No search is made: the API process loads neither the model nor FAISS before one.
"""

import tempfile
import time
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path

from tests.bench.commands import Service, serving, workplace
from tests.bench.corpus import paragraphs, write_library
from tests.bench.measure import arguments, pss_bytes, show, verdict

_LARGE_BYTES = 20_000_000
_SAMPLE_SECONDS = 0.3
_ROLES = {
    "llama_child": "embedder child",
    "parser_child": "parser child",
    "worker": "worker",
    "serve": "API",
}


def write_large_text(path: Path, unique_characters: int) -> None:
    """20 MB of text. It repeats itself, and equal chunks are embedded once: all of it passes in a minute or two."""
    text = "\n\n".join(paragraphs(unique_characters))
    path.write_text("\n\n".join([text] * (_LARGE_BYTES // len(text) + 1)))


def main() -> None:
    given = arguments(__doc__, seconds=120, characters=1_000_000)
    if given.quick:
        given.seconds, given.characters = 20, 200_000
    with tempfile.TemporaryDirectory() as made:
        place = workplace(Path(made))
        write_large_text(place.library / "000.txt", given.characters)
        write_library(place.library, given.characters)
        with serving(place) as service:
            job_id = service.start_job(place.library)
            peaks = _watch(service, job_id, given.seconds)
            job = service.ask(f"/v1/jobs/{job_id}")
    progress = job["progress"]
    done = f"{progress['settled']} of {progress['total']} files, {progress['chunks']:,} chunks"
    print(f"{job['state']} after at most {given.seconds} s: {done}")
    _tell(peaks)


def _watch(service: Service, job_id: str, seconds: int) -> dict[str, int]:
    """The most bytes of each role, and of API and worker together."""
    peaks: dict[str, int] = defaultdict(int)
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and service.ask(f"/v1/jobs/{job_id}")["state"] == "running":
        now = _by_role(service.process.pid)
        now["API and worker"] = now.get("API", 0) + now.get("worker", 0)
        for role, size in now.items():
            peaks[role] = max(peaks[role], size)
        time.sleep(_SAMPLE_SECONDS)
    return peaks


def _by_role(root: int) -> dict[str, int]:
    """PSS of the largest process of each role."""
    sizes: dict[str, int] = defaultdict(int)
    waiting = [root]
    while waiting:
        pid = waiting.pop()
        try:
            for thread in Path(f"/proc/{pid}/task").iterdir():
                waiting += [int(child) for child in (thread / "children").read_text().split()]
            words = Path(f"/proc/{pid}/cmdline").read_text().split("\0")
        except OSError:
            continue  # it has ended meanwhile
        sizes[_role(words)] = max(sizes[_role(words)], pss_bytes(pid))
    return sizes


def _role(words: list[str]) -> str:
    ends = {word.rsplit(".", 1)[-1] for word in words[1:4]}
    return next((role for end, role in _ROLES.items() if end in ends), "other")


def _tell(peaks: Mapping[str, int]) -> None:
    show(("process", "most PSS, MB"), [(role, size / 1e6) for role, size in sorted(peaks.items())])
    verdict("API and worker, MB", peaks.get("API and worker", 0) / 1e6, 300)
    verdict("the largest embedder child, MB", peaks.get("embedder child", 0) / 1e6, 200)


if __name__ == "__main__":
    main()
