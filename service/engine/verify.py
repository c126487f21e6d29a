"""Compare ledger, files and manifest of a collection, and say what does not agree. Changes nothing but suspicion."""

import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection

from service.engine.settings import EngineSettings
from service.errors import Corrupt, TryAgain
from service.index import manifest
from service.index.chunkfile import ChunkFile
from service.index.collection_file import NAME as COLLECTION
from service.index.collection_file import problem_of
from service.index.commit_record import read_chain
from service.index.files import StoredFile, verify
from service.index.live import read_live
from service.ledger import collections, events, metrics, segments, versions
from service.ledger.database import AnyRow, Ledger, store_identity

_MOST_TOLD = 50  # problems of one kind


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that does not agree, and what will happen about it."""

    kind: str  # damaged, missing, orphan, duplicate, dead, manifest, chain, collection, counts
    where: str
    message: str


def verify_collection(ledger: Ledger, settings: EngineSettings, name: str) -> dict[str, Any]:
    """Hash every live file and compare contents with the ledger; a consistent report even while a job runs.

    Damaged segments are marked: the next job on the collection takes them out of use and does again only what
    they held. Raises NotFound.
    """
    with ledger.read() as c:  # one transaction: one generation
        store_id = store_identity(c).store_id
        row = collections.by_name(c, name)
        live = segments.live(c, row.id)
        census = Census(versions.live_sizes(c, row.id))
        newest = segments.newest_checkpoint(c, row.id)
        problems = list(_check_counts(c, row, live))
    folder = settings.folder(name)
    checked = 0
    for segment in live:
        found = list(_check_segment(folder, segment, census))
        checked += 2 + (segment.live is not None) + (segment.codes is not None)
        if any(problem.kind in ("damaged", "missing") for problem in found):
            with ledger.write() as c:
                segments.change(c, row.id, segment.segment_id, suspect=True)
        problems += found
    if all(problem.kind == "counts" for problem in problems):
        problems += _check_versions(ledger, row.id, census)
    if row.generation and (foreign := problem_of(folder, row.id, store_id)):
        problems.append(Problem("collection", COLLECTION, foreign))
    problems += _check_manifest(folder, row)
    problems += _check_chain(folder, newest)
    _remember(ledger, row, problems)
    return {
        "collection": name,
        "generation": row.generation,
        "valid": not problems,
        "problems": [asdict(problem) for problem in problems],
        "files_checked": checked,
        "documents": len(census.versions),
        "vectors": int(census.found.sum()),
        "checkpoint": None if newest is None else {"generation": newest.generation, "at": newest.at},
    }


def _check_counts(c: Connection, row: AnyRow, live: Sequence[AnyRow]) -> Iterator[Problem]:
    counted = {
        "documents": versions.count_visible(c, row.id),
        "vectors": sum(segment.live_rows for segment in live),
    }
    for name, count in counted.items():
        if getattr(row, name) != count:
            told = (
                f"the ledger keeps {getattr(row, name)}, counted are {count}. `tidestone repair` corrects it"
            )
            yield Problem("counts", name, told)


def _remember(ledger: Ledger, row: AnyRow, problems: Sequence[Problem]) -> None:
    """What the last look has found, for metrics; an event where it was anything."""
    with suppress(TryAgain), ledger.write() as c:  # a full disk is no reason not to tell
        metrics.put(c, "ingest_verify_problems", len(problems), collection=row.name)
        metrics.put(c, "ingest_verify_timestamp_seconds", time.time(), collection=row.name)
        if problems:
            kinds = dict(Counter(problem.kind for problem in problems))
            events.record(c, "verify_problems", {"kinds": kinds}, collection_id=row.id)


class Census:
    """How many rows every live version should have and has, as columns: there may be a million versions."""

    def __init__(self, sizes: Iterable[tuple[int, int]]) -> None:
        """`sizes`: (version, chunks) in ascending order."""
        pairs = np.fromiter(sizes, np.dtype([("version", np.int64), ("chunks", np.int64)]))
        self.versions, self.expected = pairs["version"], pairs["chunks"]
        self.found = np.zeros(len(pairs), np.int64)

    def count(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """Count rows by their versions; returns those versions that are not live."""
        places = np.searchsorted(self.versions, rows)
        known = places < len(self.versions)
        known[known] = self.versions[places[known]] == rows[known]
        np.add.at(self.found, places[known], 1)
        return np.unique(rows[~known])

    def amiss(self) -> NDArray[np.intp]:
        """Places of the versions that have not as many rows as they should."""
        return np.flatnonzero(self.found != self.expected)


def _check_segment(folder: Path, segment: AnyRow, census: Census) -> Iterator[Problem]:
    named = (segment.faiss, segment.chunks, segment.live, segment.codes)
    files = [StoredFile(**file) for file in named if file]
    broken = [problem for file in files for problem in _check_file(folder, file)]
    yield from broken
    if broken:
        return
    alive = read_live(folder, StoredFile(**segment.live)) if segment.live else None
    with ChunkFile(folder / segment.chunks["name"]) as chunks:
        rows = np.array(chunks.versions_of_rows(), np.int64)
    dead = census.count(rows if alive is None else rows[alive])
    if len(dead):
        told = ", ".join(map(str, dead[:_MOST_TOLD]))
        yield Problem(
            "dead", segment.chunks["name"], f"rows of {len(dead)} versions that are not live: {told}"
        )


def _check_file(folder: Path, file: StoredFile) -> Iterator[Problem]:
    try:
        verify(folder, file)
    except Corrupt as error:
        kind = "missing" if error.found == "no file" else "damaged"
        again = "The next job on this collection does again what it held."
        yield Problem(kind, file.name, f"expected sha256 {error.expected}, found {error.found}. {again}")


def _check_versions(ledger: Ledger, collection_id: str, census: Census) -> Iterator[Problem]:
    amiss = census.amiss()
    with ledger.read() as c:
        for at in amiss[:_MOST_TOLD]:
            version, found, expected = (int(a[at]) for a in (census.versions, census.found, census.expected))
            kind = "missing" if found < expected else "duplicate"
            key = versions.key_of(c, collection_id, version)
            yield Problem(kind, key, f"{found} rows of version {version}, {expected} expected")
        for row in versions.doubled(c, collection_id, _MOST_TOLD):
            yield Problem("duplicate", row.key, f"{row.versions} versions are visible, 1 expected")
    if len(amiss) > _MOST_TOLD:
        yield Problem("missing", "", f"{len(amiss) - _MOST_TOLD} more versions have too few or too many rows")


def _check_manifest(folder: Path, row: AnyRow) -> Sequence[Problem]:
    if not row.generation:
        return []
    again = "It is written again by the next job."
    try:
        published = manifest.read_manifest(folder)
    except Corrupt as error:
        return [Problem("manifest", manifest.NAME, f"{error} {again}")]
    if published is None:
        return [Problem("manifest", manifest.NAME, f"there is none. {again}")]
    if published.generation < row.published_generation:
        told = f"generation {published.generation}, the ledger published {row.published_generation}. {again}"
        return [Problem("manifest", manifest.NAME, told)]
    return []


def _check_chain(folder: Path, newest: AnyRow | None) -> Sequence[Problem]:
    if newest is None:
        return []
    try:
        chain = read_chain(folder)
    except Corrupt as error:
        return [Problem("chain", str(error.path.relative_to(folder)), str(error))]
    known = {file.sha256 for file in chain.stored}
    if newest.sha256 not in known:
        return [Problem("chain", newest.file, "the newest commit record is missing or damaged")]
    return []
