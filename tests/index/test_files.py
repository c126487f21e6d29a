"""The one writer."""

import errno
import hashlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.errors import Corrupt, TryAgain
from service.index.files import StoredFile, make_folder, replace, sync_folder, verify, write_new, write_stream
from service.index.sealed import Unsealed, seal, unseal
from tests.index.making import flip


def test_what_is_written_is_what_was_hashed(tmp_path: Path) -> None:
    stored = write_stream(tmp_path, "a", [b"one", memoryview(b"two"), b""])
    assert stored == StoredFile("a", hashlib.sha256(b"onetwo").hexdigest(), 6)
    assert verify(tmp_path, stored).read_bytes() == b"onetwo"


def test_nothing_is_ever_replaced(tmp_path: Path) -> None:
    first = write_new(tmp_path, "a", b"first")
    with pytest.raises(FileExistsError):
        write_new(tmp_path, "a", b"second")
    verify(tmp_path, first)


def test_modes_let_another_user_read_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        make_folder(tmp_path / "folder")
        write_new(tmp_path, "folder/a", b"x")
        replace(tmp_path, "folder/b", b"x")
    finally:
        os.umask(before)
    modes = [stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("folder", "folder/a", "folder/b")]
    assert modes == [0o755, 0o644, 0o644]


def test_a_full_disk_is_a_passing_condition_and_leaves_no_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_space(descriptor: int, data: object) -> int:
        raise OSError(errno.ENOSPC, "full")

    monkeypatch.setattr(os, "write", no_space)
    with pytest.raises(TryAgain, match="disk_low"):
        write_new(tmp_path, "a", b"x")
    assert list(tmp_path.iterdir()) == []


def test_parts_that_fail_leave_no_file(tmp_path: Path) -> None:
    def parts() -> Iterator[bytes]:
        yield b"x"
        raise Corrupt(tmp_path, "a", "b")

    with pytest.raises(Corrupt):
        write_stream(tmp_path, "a", parts())
    assert list(tmp_path.iterdir()) == []


def test_short_writes_are_continued(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write = os.write
    monkeypatch.setattr(os, "write", lambda descriptor, data: write(descriptor, data[:3]))
    verify(tmp_path, write_new(tmp_path, "a", b"0123456789"))


def test_files_and_folders_are_synced(tmp_path: Path, synced: list[str]) -> None:
    write_new(tmp_path, "a", b"x")
    sync_folder(tmp_path)
    make_folder(tmp_path / "folder")
    replace(tmp_path, "b", b"x")
    here = str(tmp_path)
    assert synced == [f"{here}/a", here, here, f"{here}/b.tmp", here]


def test_a_temporary_file_of_a_crash_does_not_stand_in_the_way(tmp_path: Path) -> None:
    (tmp_path / "m.tmp").write_bytes(b"torn")
    verify(tmp_path, replace(tmp_path, "m", b"whole"))
    assert [path.name for path in tmp_path.iterdir()] == ["m"]


@settings(deadline=None, max_examples=50)
@given(data=st.binary(min_size=1), position=st.integers(0, 1 << 20))
def test_a_flipped_bit_is_found(tmp_path_factory: pytest.TempPathFactory, data: bytes, position: int) -> None:
    folder = tmp_path_factory.mktemp("flip")
    stored = write_new(folder, "a", data)
    flip(folder / "a", position)
    with pytest.raises(Corrupt):
        verify(folder, stored)


def test_a_shortened_or_missing_file_is_found(tmp_path: Path) -> None:
    stored = write_new(tmp_path, "a", b"xyz")
    (tmp_path / "a").write_bytes(b"xy")
    with pytest.raises(Corrupt):
        verify(tmp_path, stored)
    (tmp_path / "a").unlink()
    with pytest.raises(Corrupt, match="no file"):
        verify(tmp_path, stored)


@settings(deadline=None, max_examples=50)
@given(st.dictionaries(st.text(), st.integers() | st.text() | st.none(), min_size=1))
def test_sealed_json_comes_back_as_it_was(values: dict[str, object]) -> None:
    assert unseal(seal(values)) == values


@settings(deadline=None, max_examples=50)
@given(st.integers(0, 1 << 20), st.text())
def test_sealed_json_shows_any_flipped_bit(position: int, text: str) -> None:
    data = bytearray(seal({"text": text, "sha256": "of something"}))
    data[position // 8 % len(data)] ^= 1 << position % 8
    with pytest.raises(Unsealed):
        unseal(bytes(data))
