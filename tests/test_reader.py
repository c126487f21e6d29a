"""What a RAG API sees through the reader."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service import reader
from service.index import manifest as manifests
from service.index.records import SegmentContents, TextRecord
from service.reader import Collection, Damaged
from tests.index.making import Shelf, Truth, chunk_text, contents, flip, nearest, unit_vectors

REPOSITORY = Path(__file__).parent.parent


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    return Shelf(tmp_path / "collection")


@pytest.fixture
def open_shelf() -> Iterator[Shelf]:
    """One in a folder that every user may enter, which pytest's own are not."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    yield Shelf(folder / "collection")
    shutil.rmtree(folder)


def _mixed(shelf: Shelf) -> Shelf:
    """Segments that are whole, partly dead, wholly dead and merged."""
    for first in range(1, 25, 4):
        shelf.add(range(first, first + 4), chunks=5)
    shelf.retire([2, 3, 9, 21, 22, 23, 24])
    shelf.merge(range(2))
    return shelf


def _agrees(collection: Collection, truth: Truth, seed: int = 1, k: int = 7) -> None:
    query = unit_vectors(1, seed)[0]
    hits = collection.search(query, k)
    expected = nearest(truth, query, k)
    assert [(hit.key, hit.ordinal) for hit in hits] == [(key, ordinal) for key, ordinal, _ in expected]
    assert np.allclose([hit.score for hit in hits], [score for *_, score in expected], atol=1e-5)
    assert [hit.text for hit in hits] == [truth[hit.key, hit.ordinal][0] for hit in hits]


def test_search_equals_brute_force_over_what_is_alive(shelf: Shelf) -> None:
    collection = Collection.open(_mixed(shelf).root)
    for seed in range(20):
        for k in (1, 7, 1000):
            _agrees(collection, shelf.truth(), seed, k)


def test_a_hit_carries_its_document(shelf: Shelf) -> None:
    shelf.add([4])
    [hit] = Collection.open(shelf.root).search(unit_vectors(3, 4)[2], 1)
    assert hit[1:] == ("doc-4", "Title 4", chunk_text(4, 2), 2, 4, 4, {"parity": "even", "é": '"'})
    assert hit.score == pytest.approx(1)


def test_cosine_does_not_depend_on_the_length_of_the_query(shelf: Shelf) -> None:
    collection = Collection.open(_mixed(shelf).root)
    query = unit_vectors(1, 3)[0]
    long, short = (collection.search(query * factor, 5) for factor in (1000, 1))
    assert [hit.key for hit in long] == [hit.key for hit in short]
    assert long[0].score == pytest.approx(short[0].score)


def test_l2_scores_are_negated_squared_distances(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path / "collection", metric="l2")
    shelf.add([1, 2])
    shelf.add([3, 4])
    query = 2 * unit_vectors(1, 9)[0]
    hits = Collection.open(shelf.root).search(query, 4)
    distances = sorted(float(((vector - query) ** 2).sum()) for _, vector in shelf.truth().values())
    assert np.allclose([-hit.score for hit in hits], distances[:4], rtol=1e-5)


def test_a_filter_loses_no_hits(shelf: Shelf) -> None:
    collection = Collection.open(_mixed(shelf).root)
    odd = {at: row for at, row in shelf.truth().items() if int(at[0][4:]) % 2}
    query = unit_vectors(1, 5)[0]
    for _ in range(2):  # the second time from memory
        hits = collection.search(query, 1000, {"parity": "odd", "é": '"'})
        assert [(hit.key, hit.ordinal) for hit in hits] == [hit[:2] for hit in nearest(odd, query, 1000)]
    assert collection.search(query, 5, {"parity": "neither"}) == []
    assert len(collection.search(query, 5, {})) == 5


def test_remembered_filters_are_bounded(shelf: Shelf) -> None:
    shelf.add([1])
    collection = Collection.open(shelf.root)
    for n in range(100):
        assert collection.search(unit_vectors(1, 5)[0], 5, {"parity": str(n)}) == []
    assert len(collection.search(unit_vectors(1, 5)[0], 5, {"parity": "odd"})) == 3


@pytest.mark.parametrize("bad", [np.ones(15), np.ones((1, 16)), np.full(16, np.inf)])
def test_a_query_that_means_nothing_is_refused(shelf: Shelf, bad: np.ndarray) -> None:
    shelf.add([1])
    collection = Collection.open(shelf.root)
    with pytest.raises(ValueError, match="finite"):
        collection.search(bad, 1)
    with pytest.raises(ValueError, match="k > 0"):
        collection.search(np.ones(16), 0)


def test_rows_are_everything_alive_and_nothing_else(shelf: Shelf) -> None:
    rows = list(Collection.open(_mixed(shelf).root).rows())
    truth = shelf.truth()
    assert len(rows) == len(truth)
    assert {(row.key, row.ordinal): row.text for row in rows} == {at: text for at, (text, _) in truth.items()}
    assert all(np.array_equal(row.vector, truth[row.key, row.ordinal][1]) for row in rows)


def test_a_document_comes_whole(shelf: Shelf) -> None:
    collection = Collection.open(_mixed(shelf).root)
    document = collection.document("doc-6")
    assert document is not None
    assert document.text == "".join(chunk_text(6, n) for n in range(5))
    assert [chunk.text for chunk in document.chunks] == [chunk_text(6, n) for n in range(5)]
    assert (document.title, document.doc_id, document.metadata["parity"]) == ("Title 6", 6, "even")
    assert collection.document("doc-2") is None
    assert collection.document("doc-99") is None


def test_a_document_that_streamed_over_two_segments_is_unseen_until_its_last_chunk(shelf: Shelf) -> None:
    whole = contents([1], chunks=6)
    text, cut = whole.texts[0].text, whole.chunks[4].start
    first, last = TextRecord(1, 0, text[: cut + 9]), TextRecord(1, cut, text[cut:])
    shelf.hold(SegmentContents(whole.vectors[:4], whole.chunks[:4], whole.versions, [first]))
    shelf.hold(SegmentContents(whole.vectors[4:], whole.chunks[4:], whole.versions, [last]))
    shelf.retire([1])  # published for the first time with these rows dead
    collection = Collection.open(shelf.root)
    assert collection.document("doc-1") is None
    assert collection.search(unit_vectors(1, 1)[0], 5) == []
    for held in shelf.held:
        held.live, held.alive = None, ~held.alive
    shelf.publish()
    assert collection.refresh()
    document = collection.document("doc-1")
    assert document is not None
    assert document.text == text
    assert [chunk.ordinal for chunk in document.chunks] == list(range(6))


def test_nothing_published_is_not_damage(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        Collection.open(tmp_path)


def test_refresh_follows_and_never_goes_back(shelf: Shelf) -> None:
    shelf.add([1])
    older = (shelf.root / "manifest.json").read_bytes()
    collection = Collection.open(shelf.root)
    assert not collection.refresh()
    shelf.add([2])
    assert collection.refresh()
    assert collection.generation == 2
    (shelf.root / "manifest.json").write_bytes(older)
    assert not collection.refresh()
    assert collection.generation == 2
    _agrees(collection, shelf.truth())


def test_files_removed_after_a_refresh_are_still_read(shelf: Shelf) -> None:
    collection = Collection.open(_mixed(shelf).root)
    before = shelf.truth()
    shelf.retire([5])
    shelf.merge(range(3))
    for path in (shelf.root / "segments").iterdir():
        path.unlink()
    _agrees(collection, before, k=100)
    assert len(list(collection.rows())) == len(before)
    assert collection.document("doc-5") is not None


def test_a_missing_file_keeps_the_old_generation(shelf: Shelf) -> None:
    shelf.add([1])
    collection = Collection.open(shelf.root)
    before = shelf.truth()
    shelf.add([2])
    (shelf.root / shelf.held[-1].written.chunks.name).unlink()
    with pytest.raises(Damaged, match="No such file"):
        collection.refresh()
    assert collection.generation == 1
    _agrees(collection, before)


def test_a_file_that_vanishes_during_a_refresh_is_looked_for_in_a_newer_manifest(
    shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    shelf.add([1])
    shelf.add([2])
    stale = reader._read_manifest(shelf.root)
    shelf.merge(range(2))
    shelf.collect_garbage()
    manifests_seen = [stale]
    read = reader._read_manifest
    monkeypatch.setattr(
        reader, "_read_manifest", lambda root: manifests_seen.pop() if manifests_seen else read(root)
    )
    collection = Collection.open(shelf.root)
    assert collection.generation == shelf.generation
    _agrees(collection, shelf.truth())


@pytest.fixture(scope="module")
def damaged_shelf(tmp_path_factory: pytest.TempPathFactory) -> Shelf:
    shelf = _mixed(Shelf(tmp_path_factory.mktemp("damage") / "collection"))
    shelf.collect_garbage()
    return shelf


@settings(max_examples=60, deadline=None)
@given(which=st.integers(0, 1000), position=st.integers(0, 1 << 30))
def test_a_bit_flipped_anywhere_is_found(damaged_shelf: Shelf, which: int, position: int) -> None:
    files = damaged_shelf.files()
    path = files[which % len(files)]
    collection = Collection.open(damaged_shelf.root)
    assert collection.verify() == []
    flip(path, position)
    try:
        assert [problem.path for problem in collection.verify()] == [path]
        if path.parent.name != "commits":
            with pytest.raises(Damaged) as caught:
                Collection.open(damaged_shelf.root)
            assert caught.value.path == path
    finally:
        flip(path, position)


def test_verify_names_what_is_missing(shelf: Shelf) -> None:
    collection = Collection.open(_mixed(shelf).root)
    path = shelf.root / shelf.held[0].written.vectors.name
    path.unlink()
    assert [problem.path for problem in collection.verify()] == [path]


def test_searches_go_on_while_another_thread_refreshes(shelf: Shelf) -> None:
    shelf.add([1, 2])
    truths = {shelf.generation: shelf.truth()}
    collection = Collection.open(shelf.root)
    done = threading.Event()
    wrong: list[int] = []

    def ask() -> None:
        while not done.is_set():
            snapshot = collection.snapshot()
            query = unit_vectors(1, snapshot.generation)[0]
            hits = [(hit.key, hit.ordinal) for hit in snapshot.search(query, 4, {"é": '"'})]
            if hits != [hit[:2] for hit in nearest(truths[snapshot.generation], query, 4)]:
                wrong.append(snapshot.generation)

    threads = [threading.Thread(target=ask) for _ in range(3)]
    for thread in threads:
        thread.start()
    for first in range(3, 43, 2):
        shelf.add([first, first + 1])
        truths[shelf.generation] = shelf.truth()
        assert collection.refresh()
    done.set()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_another_process_of_another_user_answers_right_through_merges_and_deletes(open_shelf: Shelf) -> None:
    """Files that the manifest no longer names are removed at once here, without the grace that readers have."""
    shelf = open_shelf
    shelf.add([1, 2], chunks=4)
    truths = {shelf.generation: shelf.truth()}
    command = [sys.executable, "-m", "tests.index.asking", str(shelf.root)]
    with (
        tempfile.TemporaryFile() as answers,
        subprocess.Popen(command, cwd=REPOSITORY, stdin=subprocess.PIPE, stdout=answers) as child,
    ):
        assert child.stdin is not None
        while not os.fstat(answers.fileno()).st_size:
            assert child.poll() is None
        for first in range(3, 83, 2):
            shelf.add([first, first + 1], chunks=4)
            truths[shelf.generation] = shelf.truth()
            if first % 3 == 0:
                shelf.retire([first, first - 2])
                truths[shelf.generation] = shelf.truth()
            if len(shelf.held) >= 8:
                shelf.merge(range(2, 7))
                truths[shelf.generation] = shelf.truth()
                shelf.collect_garbage()
        child.stdin.close()
        assert child.wait() == 0
        answers.seek(0)
        said = [json.loads(line) for line in answers]
    assert len({generation for generation, *_ in said}) >= 5
    for generation, seed, found in said:
        truth = truths[generation]
        if seed is None:
            assert {(key, n): text for key, n, text in found} == {at: text for at, (text, _) in truth.items()}
        else:
            expected = nearest(truth, unit_vectors(1, seed)[0], 7)
            assert [(key, n) for key, n, _ in found] == [hit[:2] for hit in expected]
            assert np.allclose([score for *_, score in found], [hit[2] for hit in expected], atol=1e-5)


def test_the_reader_works_alone_copied_anywhere(shelf: Shelf, tmp_path: Path) -> None:
    shelf.add([1])
    shutil.copy(reader.__file__, tmp_path / "copied.py")
    program = (
        "import sys, copied; c = copied.Collection.open(sys.argv[1]);"
        "assert not [m for m in sys.modules if m.split('.')[0] == 'service']; print(c.generation)"
    )
    command = [sys.executable, "-W", "ignore", "-c", program, str(shelf.root)]
    assert subprocess.run(command, cwd=tmp_path, capture_output=True, check=True, text=True).stdout == "1\n"


def test_a_manifest_of_another_format_is_not_guessed_at(
    shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(manifests, "FORMAT", "tidestone-manifest-2")
    shelf.add([1])
    with pytest.raises(Damaged, match="tidestone-manifest-2"):
        Collection.open(shelf.root)
