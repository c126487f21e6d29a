"""What the self-test ingests: small, large and record files, and every kind of change to them."""

import json
from typing import Any

from service.selftest.world import OLD, World

# Small, so that a few documents make many commits, merges, and flushes in the middle of a document.
SETTINGS: dict[str, Any] = {"batch_size": 3, "segment_rows": 8, "max_live_segments": 6, "parse_workers": 2}


def fill(world: World) -> None:
    """A library of small, large and record files."""
    for n in range(7):
        world.write(f"a/x{n}.txt", text(f"a/x{n}", 2))
        world.write(f"b/y{n}.txt", text(f"b/y{n}", 3))
    world.write("large.txt", text("large", 40))
    records(world, {"a": "first record", "b": "second record", "c": "third record"})


def change(world: World) -> None:
    """Files are changed, added, removed and moved, and so are records."""
    for n in (0, 4):
        world.write(f"a/x{n}.txt", text(f"a/x{n}", 2).replace("part 1", "part one, changed"), OLD + 100)
    world.write("large.txt", text("large", 40).replace("part 23 ", "part changed "), OLD + 100)
    world.write("larger.txt", text("larger", 40))
    (world.library / "a/x1.txt").unlink()
    (world.library / "b/y1.txt").rename(world.library / "b/moved.txt")
    records(world, {"a": "first record", "c": "third record, changed", "d": "fourth record\n\nhas two parts"})


def text(name: str, paragraphs: int) -> str:
    """A text of so many chunks, no two alike."""
    return "\n\n".join(f"{name}, part {n} of it" for n in range(paragraphs))


def records(world: World, records: dict[str, str]) -> None:
    """A file whose lines are documents of their own."""
    lines = [json.dumps({"id": name, "text": text}) for name, text in records.items()]
    world.write("c/r.jsonl", "\n".join(lines), OLD + len(records["a"] + records["c"]))
