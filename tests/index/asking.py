"""A reader in a process of its own, another user's where possible: asks until its input ends, prints every answer.

Run as `python -m tests.index.asking FOLDER`; a line is `[generation, seed, [[key, ordinal, score], …]]`, or
`[generation, null, [[key, ordinal, text], …]]` with all rows, once per generation that was seen.
"""

import json
import os
import select
import sys
from itertools import count
from pathlib import Path

from service.reader import Collection
from tests.index.making import unit_vectors

NOBODY = 65_534


def become_another() -> None:
    """Only after every import: the interpreter itself may be out of the other user's reach."""
    if os.getuid() == 0:
        os.setgroups([])
        os.setgid(NOBODY)
        os.setuid(NOBODY)


def main(folder: Path) -> None:
    unit_vectors(1, 0)
    become_another()
    collection = Collection.open(folder)
    seen = 0
    for seed in count():
        snapshot = collection.snapshot()
        if snapshot.generation > seen:
            seen = snapshot.generation
            print(json.dumps([seen, None, [[row.key, row.ordinal, row.text] for row in snapshot.rows()]]))
        hits = snapshot.search(unit_vectors(1, seed)[0], 7)
        answer = [[hit.key, hit.ordinal, hit.score] for hit in hits]
        print(json.dumps([snapshot.generation, seed, answer]), flush=True)
        if select.select([sys.stdin], [], [], 0)[0]:
            return
        collection.refresh()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
