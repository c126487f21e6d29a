"""A child process that makes one large merge in the scratch folder: one order in, one answer out."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from service.children import read_message, settle_in, write_message
from service.errors import Corrupt, TryAgain
from service.index import approximate
from service.index.files import StoredFile, sync_folder, write_new
from service.index.live import encode_live, read_live
from service.index.merge import MergeInput, Target, merge_segments
from service.index.records import Mask
from service.index.scratch import ScratchId

NICE = 15


def make(order: Mapping[str, Any]) -> dict[str, Any]:
    """Merge what is alive in the inputs, and keep beside it which rows that were.

    An order names `root`, `name`, `inputs` (each with `rows`, `faiss`, `chunks`, `live`), `collection_id`, `metric`,
    `dimensions`, `approximate_above`. The answer has the files `faiss`, `chunks`, `codes` (null with fewer rows than that)
    and `kept`, and `rows`; or, where a file is damaged, missing or does not fit on the disk, an `error`.
    """
    root, name = Path(order["root"]), ScratchId(order["name"])
    try:
        masks = [_alive(root, given) for given in order["inputs"]]
        inputs = [
            MergeInput(StoredFile(**given["faiss"]), StoredFile(**given["chunks"]), mask)
            for given, mask in zip(order["inputs"], masks, strict=True)
        ]
        target = Target(name, order["collection_id"], order["metric"], order["dimensions"])
        written = merge_segments(root, inputs, target)
        codes = None
        if written.rows >= order["approximate_above"]:
            codes = approximate.build(root, written.vectors, name.codes, target.metric, target.dimensions)
        kept = write_new(root, name.kept, encode_live(np.concatenate(masks)))
        sync_folder(root / "scratch")
    except (Corrupt, TryAgain) as error:
        path = error.path if isinstance(error, Corrupt) else root
        return {"error": {"code": type(error).__name__, "message": str(error), "path": str(path)}}
    files: Sequence[tuple[str, StoredFile]] = (
        ("faiss", written.vectors),
        ("chunks", written.chunks),
        ("kept", kept),
    )
    told = None if codes is None else _told(codes)
    return {"rows": written.rows, "codes": told, **{kind: _told(file) for kind, file in files}}


def _alive(root: Path, given: Mapping[str, Any]) -> Mask:
    if given["live"] is None:
        return np.ones(given["rows"], dtype=np.bool_)
    return read_live(root, StoredFile(**given["live"]))


def _told(file: StoredFile) -> dict[str, Any]:
    return {"name": file.name, "sha256": file.sha256, "bytes": file.bytes}


def main() -> None:
    """One order from stdin, one answer to stdout."""
    _, incoming, outgoing = settle_in(NICE)
    order, _ = read_message(incoming)
    write_message(outgoing, make(order))


if __name__ == "__main__":
    main()
