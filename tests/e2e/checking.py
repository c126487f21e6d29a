"""A reader as another user on a read-only mount: compares every answer with brute force over the same generation.

Run as `python -m tests.e2e.checking MOUNT FOLDER`: mounts FOLDER read-only on MOUNT in a mount namespace of its own,
becomes another user, and asks until its input ends; then prints {"generations", "answers", "wrong"}.
"""

import json
import os
import select
import subprocess
import sys
from pathlib import Path

import numpy as np

from service.reader import Collection, Snapshot
from tests.index.asking import become_another
from tests.index.making import unit_vectors

K = 5


def main(mount: Path) -> None:
    unit_vectors(1, 0)
    become_another()
    assert not os.access(mount, os.W_OK)
    collection = Collection.open(mount)
    generations: set[int] = set()
    answers, wrong = 0, []
    truth = _Truth(collection.snapshot())
    while True:
        snapshot = collection.snapshot()
        if snapshot.generation != truth.generation:
            truth = _Truth(snapshot)
        generations.add(snapshot.generation)
        for query in truth.queries(answers):
            answers += 1
            if not truth.agrees(snapshot, query):
                wrong.append(snapshot.generation)
        if answers == K:
            print("ready", flush=True)
        if select.select([sys.stdin], [], [], 0)[0]:
            break
        collection.refresh()
    print(json.dumps({"generations": len(generations), "answers": answers, "wrong": wrong}), flush=True)


class _Truth:
    """All rows of one generation, and what brute force says of them."""

    def __init__(self, snapshot: Snapshot) -> None:
        self.generation = snapshot.generation
        rows = list(snapshot.rows())
        self._names = [(row.key, row.ordinal) for row in rows]
        self._vectors = np.stack([row.vector for row in rows])

    def queries(self, seed: int) -> np.ndarray:
        """Some unit vectors near stored ones, shape (K, dimensions)."""
        random = np.random.default_rng(seed)
        chosen = self._vectors[random.integers(0, len(self._vectors), K)]
        noisy = chosen + 0.01 * random.standard_normal(chosen.shape).astype(np.float32)
        return noisy / np.linalg.norm(noisy, axis=1, keepdims=True)

    def agrees(self, snapshot: Snapshot, query: np.ndarray) -> bool:
        hits = snapshot.search(query, K)
        scores = self._vectors @ query
        best = np.sort(scores)[::-1][:K]
        by_name = dict(zip(self._names, scores.tolist(), strict=True))
        same = np.allclose([hit.score for hit in hits], best, atol=1e-5)
        return bool(same and all(abs(by_name[hit.key, hit.ordinal] - hit.score) < 1e-5 for hit in hits))


def in_a_namespace_of_its_own(mount: str, folder: str) -> int:
    """Mount, then start this module again to ask; returns its exit status."""
    unshare = ["unshare", "--mount"] if os.getuid() == 0 else ["unshare", "--map-root-user", "--mount"]
    again = f'exec {sys.executable} -m tests.e2e.checking "$0"'
    script = f'mount --bind "$1" "$0" && mount -o remount,bind,ro "$0" && {again}'
    return subprocess.run([*unshare, "sh", "-c", script, mount, folder], check=False).returncode


if __name__ == "__main__":
    if len(sys.argv) == 3:
        sys.exit(in_a_namespace_of_its_own(*sys.argv[1:]))
    main(Path(sys.argv[1]))
