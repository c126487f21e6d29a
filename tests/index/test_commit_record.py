"""The chain of commit records."""

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.errors import Corrupt
from service.index.commit_record import (
    CommitRecord,
    Parent,
    decode,
    encode,
    read_chain,
    read_record,
    write_record,
)
from service.index.files import StoredFile
from tests.index.making import AT, flip

FIRST = CommitRecord(
    collection_id="id-1", store_id="store-1", generation=1, token=7, parent=None, batch=1, at=AT, job="job-1",
    source={"type": "library", "root": "books"}, kind="ingest", documents=[],
    versions_added=[{"version": 1, "key": "bücher/a"}],
    versions_retired=[], segments_opened=[{"id": 1}], segments_closed=[], live_files=[],
)  # fmt: skip


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "commits").mkdir()
    return tmp_path


def _after(record: CommitRecord, stored: StoredFile, token: int = 7) -> CommitRecord:
    parent = Parent(record.generation, stored.name, stored.sha256)
    return replace(record, generation=record.generation + 1, token=token, parent=parent)


def _written(root: Path, count: int) -> list[CommitRecord]:
    records = [FIRST]
    stored = write_record(root, FIRST)
    for _ in range(count - 1):
        records.append(_after(records[-1], stored))
        stored = write_record(root, records[-1])
    return records


def test_a_record_comes_back_as_it_was(root: Path, synced: list[str]) -> None:
    stored = write_record(root, FIRST)
    assert stored.name == "commits/00000001-t7.json"
    assert read_record(root, stored.name) == (FIRST, stored)
    assert synced == [f"{root}/{stored.name}", f"{root}/commits"]
    assert decode(encode(FIRST)) == FIRST


def test_a_chain_is_followed_from_the_first_commit_on(root: Path) -> None:
    records = _written(root, 5)
    chain = read_chain(root)
    assert chain.records == records
    assert [stored.name for stored in chain.stored] == [record.name for record in records]
    assert chain.torn == []


def test_a_collection_without_commits_has_an_empty_chain(root: Path) -> None:
    assert read_chain(root).records == []


def test_a_zombie_s_record_of_the_same_generation_is_not_in_the_chain(root: Path) -> None:
    stored = write_record(root, FIRST)
    write_record(root, _after(FIRST, stored, token=7))  # frozen before its ledger transaction, then fenced
    winner = _after(FIRST, stored, token=8)
    write_record(root, winner)
    assert read_chain(root).records == [FIRST, winner]


def test_a_torn_newest_record_never_counted(root: Path) -> None:
    records = _written(root, 3)
    path = root / records[-1].name
    path.write_bytes(path.read_bytes()[:100])
    chain = read_chain(root)
    assert chain.records == records[:-1]
    assert chain.torn == [records[-1].name]


@settings(deadline=None, max_examples=50)
@given(position=st.integers(0, 1 << 20), which=st.integers(0, 2))
def test_any_flipped_bit_below_the_newest_breaks_the_chain(
    tmp_path_factory: pytest.TempPathFactory, position: int, which: int
) -> None:
    root = tmp_path_factory.mktemp("chain")
    (root / "commits").mkdir()
    records = _written(root, 4)
    flip(root / records[which].name, position)
    with pytest.raises(Corrupt):
        read_chain(root)


def test_a_sealed_but_different_parent_breaks_the_chain(root: Path) -> None:
    records = _written(root, 3)
    (root / records[1].name).write_bytes(encode(replace(records[1], batch=99)))
    with pytest.raises(Corrupt):
        read_chain(root)


def test_a_missing_or_misnamed_record_breaks_the_chain(root: Path) -> None:
    records = _written(root, 3)
    (root / records[0].name).rename(root / "commits/00000009-t7.json")
    with pytest.raises(Corrupt, match="no file"):
        read_chain(root)
    with pytest.raises(Corrupt, match="00000009"):
        read_record(root, "commits/00000009-t7.json")
