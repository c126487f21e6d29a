"""Codes propose and the vectors decide: what is found, what never is, and what happens without codes."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from service.core.space import Space
from service.errors import Corrupt
from service.index import approximate, manifest
from service.index.files import StoredFile, make_folder
from service.index.live import write_live
from service.index.records import (
    ChunkRecord,
    SegmentContents,
    SegmentId,
    TextRecord,
    Vectors,
    VersionRecord,
    live_name,
)
from service.index.segment import write_segment
from service.reader import Collection
from service.reader import _Mask as Mask

ROWS, DIMENSIONS, K = 4_000, 96, 10
AT = "2025-01-01T00:00:00Z"
SPACE = Space("synthetic", "float", DIMENSIONS, "mean", True, "", "", 512)


def _vectors(rows: int, seed: int, metric: str) -> Vectors:
    """Clusters of a low rank, as embeddings have them; of different lengths where those count."""
    drawn = np.random.default_rng(seed)
    basis = np.random.default_rng(0).standard_normal((12, DIMENSIONS))
    centres = np.random.default_rng(1).standard_normal((50, 12))
    made = (centres[drawn.integers(0, 50, rows)] + 0.7 * drawn.standard_normal((rows, 12))) @ basis
    made += 0.8 * drawn.standard_normal(made.shape)
    if metric == "cosine":
        made /= np.linalg.norm(made, axis=1, keepdims=True)
    return made.astype(np.float32)  # type: ignore[no-any-return]


def _contents(vectors: Vectors, first: int) -> SegmentContents:
    """One document per row; every two-hundredth is `rare`, every fourth `common`."""
    numbers = range(first, first + len(vectors))
    chunks = [ChunkRecord(n, 0, 0, 4, 1) for n in numbers]
    described = [
        VersionRecord(n, n, str(n), "", {"rare": str(n % 200 == 0), "common": str(n % 4 == 0)}, "-")
        for n in numbers
    ]
    return SegmentContents(vectors, chunks, described, [TextRecord(n, 0, "text") for n in numbers])


class Pair:
    """Two segments of one collection, with codes or without, and brute force beside them."""

    def __init__(self, root: Path, metric: str) -> None:
        self.root, self.metric = root, metric
        for folder in (root, root / "segments", root / "commits"):
            make_folder(folder)
        self.vectors = np.concatenate([_vectors(ROWS, 2, metric), _vectors(ROWS, 3, metric)])
        self.alive = np.ones(2 * ROWS, np.bool_)
        self.entries = [self._entry(number) for number in (0, 1)]
        self.generation = 0

    def _entry(self, number: int) -> manifest.SegmentEntry:
        name = SegmentId(number + 1, 7)
        rows = self.vectors[number * ROWS : (number + 1) * ROWS]
        written = write_segment(self.root, name, "id-1", self.metric, _contents(rows, number * ROWS))
        codes = approximate.build(self.root, written.vectors, name.codes, self.metric, DIMENSIONS)
        return manifest.SegmentEntry(number, number, 1, ROWS, written.vectors, written.chunks, None, codes)

    def kill(self, rows: "np.ndarray") -> None:
        self.alive[rows] = False
        for number, entry in enumerate(self.entries):
            mask = self.alive[number * ROWS : (number + 1) * ROWS]
            live = write_live(self.root, live_name(number + 1, 2, 7), mask)
            self.entries[number] = replace(entry, live=live)

    def open(self) -> Collection:
        self.generation += 1
        described = manifest.describe(SPACE)
        count = int(self.alive.sum())
        made = manifest.Manifest(
            "synthetic",
            "id-1",
            self.generation,
            described,
            DIMENSIONS,
            self.metric,
            self.entries,
            [],
            count,
            count,
            AT,
        )
        assert manifest.publish(self.root, made)
        return Collection.open(self.root)

    def truth(self, query: Vectors, among: "np.ndarray") -> dict[str, float]:
        rows = np.flatnonzero(among & self.alive)
        apart = self.vectors[rows] - query
        scores = self.vectors[rows] @ query if self.metric == "cosine" else -(apart**2).sum(axis=1)
        best = np.argsort(-scores)[:K]
        return {str(rows[at]): float(scores[at]) for at in best}

    def recall(self, collection: Collection, where: dict[str, str] | None = None) -> float:
        """Over 40 queries; checks on the way that what is found is alive, that it matches, and how it is scored."""
        every = {"rare": 200, "common": 4}[next(iter(where))] if where else 1
        among = np.arange(2 * ROWS) % every == 0
        found = 0
        for query in _vectors(40, 4, self.metric):
            truth = self.truth(query, among)
            hits = collection.search(query, K, where)
            assert len(hits) == len({hit.key for hit in hits}) == min(K, int((among & self.alive).sum()))
            assert all(self.alive[int(hit.key)] and among[int(hit.key)] for hit in hits)
            assert [hit.score for hit in hits] == sorted((hit.score for hit in hits), reverse=True)
            assert all(np.isclose(hit.score, truth[hit.key], rtol=1e-4) for hit in hits if hit.key in truth)
            found += len(truth.keys() & {hit.key for hit in hits})
        return found / (40 * K)


@pytest.fixture
def metric() -> str:
    return "cosine"


@pytest.fixture
def pair(metric: str, tmp_path: Path) -> Pair:
    return Pair(tmp_path / "collection", metric)


def _uses_codes(collection: Collection, monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Of every search of a segment from now on: whether it was by codes."""
    seen: list[bool] = []
    for segment in collection.snapshot().segments.values():

        def watched(*given: object, own: object = segment.nearest) -> object:
            seen.append(bool(given[3]))
            return own(*given)  # type: ignore[operator]

        monkeypatch.setattr(segment, "nearest", watched)
    return seen


@pytest.mark.parametrize("metric", ["cosine", "l2"])
def test_codes_find_what_comparing_all_finds(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    collection = pair.open()
    seen = _uses_codes(collection, monkeypatch)
    assert pair.recall(collection) >= 0.97
    assert seen
    assert all(seen)


@pytest.mark.parametrize("metric", ["cosine", "l2"])
def test_dead_rows_are_never_found_at_random_or_in_runs(pair: Pair) -> None:
    pair.kill(np.r_[ROWS // 2 : ROWS, ROWS : 2 * ROWS : 5])
    assert pair.recall(pair.open()) >= 0.97


def test_a_wide_filter_goes_by_codes_and_a_narrow_one_does_not(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    collection = pair.open()
    seen = _uses_codes(collection, monkeypatch)
    assert pair.recall(collection, {"common": "True"}) >= 0.97
    assert all(seen)
    seen.clear()
    assert pair.recall(collection, {"rare": "True"}) == 1
    assert not any(seen)


def _narrowed(collection: Collection, lists: int) -> Collection:
    """Only so many of seven lists are looked into, unless there is a reason to look into all."""
    for segment in collection.snapshot().segments.values():
        segment._codes.nprobe = lists
    return collection


def test_where_less_than_half_may_be_found_no_list_is_left_out(pair: Pair) -> None:
    assert pair.recall(_narrowed(pair.open(), 2)) < 0.97
    assert pair.recall(_narrowed(pair.open(), 2), {"common": "True"}) >= 0.97
    pair.kill(np.flatnonzero(np.arange(2 * ROWS) % 5 > 1))
    assert pair.recall(_narrowed(pair.open(), 2)) >= 0.97


def test_where_the_nearest_list_holds_too_few_the_others_are_looked_into(pair: Pair) -> None:
    query, many = pair.vectors[5], 100  # seven hundred candidates, more than a list holds
    hits = {int(hit.key) for hit in _narrowed(pair.open(), 1).search(query, many)}
    truth = set(np.argsort(-(pair.vectors @ query))[:many].tolist())
    assert len(hits & truth) >= 0.97 * many


def test_whoever_asks_for_everything_gets_it(pair: Pair) -> None:
    assert len(pair.open().search(pair.vectors[0], 2 * ROWS)) == 2 * ROWS


@pytest.mark.parametrize("damage", ["missing", "flipped"])
def test_without_codes_a_search_is_exact_and_verify_says_what_is_wrong(
    pair: Pair, damage: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for entry in pair.entries:
        assert entry.codes is not None
        path = pair.root / entry.codes.name
        data = path.read_bytes()
        path.unlink()
        if damage == "flipped":
            path.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    collection = pair.open()
    seen = _uses_codes(collection, monkeypatch)
    assert pair.recall(collection) == 1
    assert not any(seen)
    assert [problem.path.suffix for problem in collection.verify()] == [".codes", ".codes"]


def test_the_same_vectors_make_the_same_codes(pair: Pair) -> None:
    entry = pair.entries[0]
    assert entry.codes is not None
    again = approximate.build(pair.root, entry.faiss, "segments/again", pair.metric, DIMENSIONS)
    assert (again.sha256, again.bytes) == (entry.codes.sha256, entry.codes.bytes)
    with pytest.raises(Corrupt):
        approximate.build(
            pair.root, StoredFile("segments/none", "", 0), "segments/x", pair.metric, DIMENSIONS
        )


@pytest.mark.parametrize(("chosen", "by_codes"), [(50, False), (79, False), (81, True)])
def test_below_two_percent_of_the_rows_all_are_compared(pair: Pair, chosen: int, by_codes: bool) -> None:
    mask = np.zeros(ROWS, np.bool_)
    mask[:chosen] = True
    for segment in pair.open().snapshot().segments.values():
        assert segment.proposes(10, Mask.of(np.packbits(mask, bitorder="little"))) == by_codes
