"""Compare ledger, files and manifest of a collection, and say what does not agree. Changes nothing but suspicion."""

import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

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
from service.maintenance.census import Census, columns_of
from service.maintenance.orphans import Named, files_in, orphans

_MOST_TOLD = 50  # problems of one kind
_MOST_LOOKS = 4
_FOR_LIVE = "The next job on this collection does again what it held."
_FOR_ROLLBACK = (
    "Generation {generations} cannot be gone back to without it: `tidestone repair` gives that up."
)
_STRANGE = (
    "nothing names it: the next job removes it, or moves it to quarantine, and so does `tidestone repair`."
)


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that does not agree, and what will happen about it."""

    kind: str  # damaged, missing, orphan, duplicate, dead, manifest, chain, collection, counts
    where: str
    message: str


class _Moved(Exception):
    """A file was taken away in the middle of it, by somebody who may: what was read of the ledger is out of date."""


def verify_collection(ledger: Ledger, settings: EngineSettings, name: str) -> dict[str, Any]:
    """Hash every file that a kept generation needs, and compare contents with the ledger; says what is amiss.

    A consistent report even while a job runs. Damaged live segments are marked: the next job on the collection takes
    them out of use and does again only what they held. Raises NotFound.
    """
    for left in reversed(range(_MOST_LOOKS)):
        with suppress(_Moved):
            return _Look(ledger, settings, name, is_last=not left).report()
    raise AssertionError("the last look does not mind")


class _Look:
    """One look at everything: what the ledger says at one generation, and then the files."""

    def __init__(self, ledger: Ledger, settings: EngineSettings, name: str, is_last: bool) -> None:
        self._ledger, self._is_last = ledger, is_last
        self._folder, self._grace_seconds = settings.folder(name), settings.gc_grace_seconds
        self._found = files_in(self._folder)
        with ledger.read() as c:  # one transaction: one generation
            self._store_id = store_identity(c).store_id
            self._row = collections.by_name(c, name)
            self._live = segments.live(c, self._row.id)
            self._past = segments.past(c, self._row.id)
            self._census = Census(versions.live_sizes(c, self._row.id))
            self._newest = segments.newest_checkpoint(c, self._row.id)
            self._problems = list(_check_counts(c, self._row, self._live))
            self._named = Named.of(c, self._row.id)
        self._hashed: dict[str, Problem | None] = {}  # name -> what is wrong with it

    def report(self) -> dict[str, Any]:
        """Everything. Raises _Moved."""
        row, census, newest = self._row, self._census, self._newest
        for segment in self._live:
            self._check_segment(segment)
        if all(problem.kind == "counts" for problem in self._problems):
            self._problems += _check_versions(self._ledger, row.id, census)
        self._check_past()
        if row.generation and (foreign := problem_of(self._folder, row.id, self._store_id)):
            self._problems.append(Problem("collection", COLLECTION, foreign))
        self._problems += _check_manifest(self._folder, row)
        self._problems += _check_chain(self._folder, newest)
        strangers = orphans(self._folder, self._found, self._named, self._grace_seconds)
        self._problems += [Problem("orphan", file, _STRANGE) for file in strangers]
        _remember(self._ledger, row, self._problems)
        return {
            "collection": row.name,
            "generation": row.generation,
            "valid": not self._problems,
            "problems": [asdict(problem) for problem in self._problems],
            "files_checked": len(self._hashed),
            "documents": len(census.versions),
            "vectors": int(census.found.sum()),
            "checkpoint": None if newest is None else {"generation": newest.generation, "at": newest.at},
        }

    def _check_segment(self, segment: AnyRow) -> None:
        files = files_of(segment)
        broken = [problem for file in files if (problem := self._check(file))]
        self._problems += [replace(each, message=f"{each.message} {_FOR_LIVE}") for each in broken]
        if broken:
            with self._ledger.write() as c:
                segments.change(c, self._row.id, segment.segment_id, suspect=True)
            return
        alive = read_live(self._folder, StoredFile(**segment.live)) if segment.live else None
        with ChunkFile(self._folder / segment.chunks["name"]) as chunks:
            rows, ordinals = columns_of(chunks.places())
        if alive is not None:
            rows, ordinals = rows[alive], ordinals[alive]
        dead = self._census.count(rows, ordinals)
        if len(dead):
            told = ", ".join(map(str, dead[:_MOST_TOLD]))
            said = f"rows of {len(dead)} versions that are not live: {told}"
            self._problems.append(Problem("dead", segment.chunks["name"], said))

    def _check_past(self) -> None:
        """What a rollback would need, and the newest generation does not."""
        present = set(self._hashed)
        needing: dict[str, list[AnyRow]] = {}
        for span in self._past:
            for file in files_of(span):
                if file.name not in present and self._check(file):
                    needing.setdefault(file.name, []).append(span)
        for name, spans in needing.items():
            problem = self._hashed[name]
            assert problem is not None, "these are the broken ones"
            first, last = min(s.from_generation for s in spans), max(s.to_generation for s in spans) - 1
            told = _FOR_ROLLBACK.format(generations=first if first == last else f"{first} to {last}")
            self._problems.append(replace(problem, message=f"{problem.message} {told}"))

    def _check(self, file: StoredFile) -> Problem | None:
        if file.name not in self._hashed:
            self._hashed[file.name] = self._problem_of(file)
        return self._hashed[file.name]

    def _problem_of(self, file: StoredFile) -> Problem | None:
        try:
            verify(self._folder, file)
        except Corrupt as error:
            if not self._is_last and not self._is_needed(file):
                raise _Moved from error
            kind = "missing" if error.found == "no file" else "damaged"
            return Problem(kind, file.name, f"expected sha256 {error.expected}, found {error.found}.")
        return None

    def _is_needed(self, file: StoredFile) -> bool:
        """Still: collections of garbage, merges and purges go on beside this."""
        with self._ledger.read() as c:
            return file.name in segments.needed_files(c, self._row.id)


def files_of(segment: AnyRow) -> list[StoredFile]:
    """All that a segment, as one of its spans has it, is made of."""
    named = (segment.faiss, segment.chunks, segment.live, segment.codes)
    return [StoredFile(**file) for file in named if file]


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


def _check_versions(ledger: Ledger, collection_id: str, census: Census) -> Iterator[Problem]:
    amiss = census.amiss()
    with ledger.read() as c:
        for at in amiss[:_MOST_TOLD]:
            version, found, expected = (int(a[at]) for a in (census.versions, census.found, census.expected))
            kind = "missing" if found < expected else "duplicate"
            told = f"{found} rows of version {version}, {expected} expected, each of its chunks once"
            yield Problem(kind, versions.key_of(c, collection_id, version), told)
        for row in versions.strays(c, collection_id, _MOST_TOLD):
            told = f"version {row.version_id} is visible, and its document has another or none"
            yield Problem("duplicate", row.key, told)
        for row in versions.unseen(c, collection_id, _MOST_TOLD):
            yield Problem("missing", row.key, f"its version {row.version_id} is not visible")
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
