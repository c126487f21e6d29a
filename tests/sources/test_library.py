"""A folder tree: links, odd names, what is wanted of it, and what cannot be read."""

import errno
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.core.names import name_on_disk, storable_name
from service.errors import Refused
from service.sources.library import Library
from service.sources.wanted import Wanted
from tests.contracts.source import listed, scanned

ODD = [b"caf\xe9.txt", b"caf\xe8.txt", b"\xff\xfe", "\N{REPLACEMENT CHARACTER}E9.txt".encode()]


def put(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(name)


def test_a_link_to_a_file_is_followed(tmp_path: Path) -> None:
    put(tmp_path, "root/a.txt", "elsewhere/b.txt")
    (tmp_path / "root/link.txt").symlink_to(tmp_path / "elsewhere/b.txt")
    assert set(listed(Library(tmp_path / "root"))) == {"a.txt", "link.txt"}


def test_a_link_to_a_folder_is_not_followed_so_that_no_loop_can_be(tmp_path: Path) -> None:
    put(tmp_path, "root/a.txt", "elsewhere/b.txt")
    (tmp_path / "root/up").symlink_to(tmp_path / "root")
    (tmp_path / "root/away").symlink_to(tmp_path / "elsewhere")
    assert set(listed(Library(tmp_path / "root"))) == {"a.txt"}


def test_the_data_of_the_service_itself_is_passed_over(tmp_path: Path) -> None:
    put(tmp_path, "a.txt", "data/tidestone.json", "sub/data/mine.txt")
    assert set(listed(Library(tmp_path, never=tmp_path / "data"))) == {"a.txt", "sub/data/mine.txt"}


def test_a_link_that_leads_nowhere_or_to_itself_is_no_document(tmp_path: Path) -> None:
    put(tmp_path, "a.txt")
    (tmp_path / "dangling.txt").symlink_to(tmp_path / "gone.txt")
    (tmp_path / "itself.txt").symlink_to(tmp_path / "itself.txt")
    folder = scanned(Library(tmp_path), "")
    assert (list(folder.files), folder.error) == (["a.txt"], "")


def test_a_link_that_leads_out_of_the_library_roots_is_passed_over(tmp_path: Path) -> None:
    put(tmp_path, "root/a.txt", "other/b.txt", "root-of-others/c.txt", "outside/secret.txt")
    root = tmp_path / "root"
    for name, target in {
        "inside": "root/a.txt",
        "other": "other/b.txt",
        "near": "root-of-others/c.txt",
        "out": "outside/secret.txt",
    }.items():
        (root / f"{name}.txt").symlink_to(tmp_path / target)
    (root / "twice.txt").symlink_to(root / "out.txt")
    bound = Library(root, within=[root, tmp_path / "other"])
    assert set(listed(bound)) == {"a.txt", "inside.txt", "other.txt"}
    assert len(listed(Library(root))) == 6


def test_what_is_no_file_is_no_document(tmp_path: Path) -> None:
    put(tmp_path, "a.txt")
    os.mkfifo(tmp_path / "pipe.txt")
    assert set(listed(Library(tmp_path))) == {"a.txt"}


@pytest.mark.parametrize(
    ("include", "exclude", "wanted"),
    [
        ((), (), {"a.txt", "b.md", "d/c.txt", ".git/config", "d/old/e.txt"}),
        (("*.txt",), (), {"a.txt", "d/c.txt", "d/old/e.txt"}),
        ((), (".git", "old"), {"a.txt", "b.md", "d/c.txt"}),
        ((), ("d/*.txt",), {"a.txt", "b.md", ".git/config"}),
        (("*.txt",), ("d/old",), {"a.txt", "d/c.txt"}),
        (("*.txt",), ("*.txt",), set()),
        ((), (".git", "d", "b.m"), {"a.txt", "b.md"}),
        (("d/c.*", "*.md"), (), {"b.md", "d/c.txt"}),
    ],
)
def test_include_is_about_files_and_exclude_about_folders_too(
    tmp_path: Path, include: tuple[str, ...], exclude: tuple[str, ...], wanted: set[str]
) -> None:
    put(tmp_path, "a.txt", "b.md", "d/c.txt", ".git/config", "d/old/e.txt")
    assert set(listed(Library(tmp_path, Wanted(include, exclude)))) == wanted


def test_a_root_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Refused, match="mount"):
        scanned(Library(tmp_path / "gone"), "")


def test_names_that_are_not_utf_8_stay_different_and_lead_back_to_their_files(tmp_path: Path) -> None:
    for name in ODD:
        path = os.fsencode(tmp_path) + b"/" + name
        os.mkdir(path)
        Path(os.fsdecode(path + b"/" + name)).write_bytes(name)
    library = Library(tmp_path)
    folders = scanned(library, "").subfolders
    assert len(set(folders)) == len(ODD)
    for folder in folders:
        folder.encode()  # as every key must
        (name,) = scanned(library, folder).files
        assert library.locate(folder, name).read_bytes() == os.fsencode(name_on_disk(name))
        assert name == folder


def test_a_name_of_utf_8_is_kept_as_it_is() -> None:
    for name in ("plain.txt", "de\u0301.txt", "50%.txt", "日本語.md"):
        assert storable_name(name) == name == name_on_disk(name)


@given(st.lists(st.binary(min_size=1).filter(lambda name: b"/" not in name and b"\0" not in name)))
def test_every_name_can_be_stored_and_found_again(parts: list[bytes]) -> None:
    path = os.fsdecode(b"/".join(parts))
    stored = storable_name(path)
    stored.encode()
    assert name_on_disk(stored) == path


def test_a_path_too_long_for_the_system_is_an_error_of_its_folder(tmp_path: Path) -> None:
    put(tmp_path, "a.txt")
    deep, name = os.open(tmp_path, os.O_RDONLY), "x" * 250
    for _ in range(17):
        os.mkdir(name, dir_fd=deep)
        below = os.open(name, os.O_RDONLY, dir_fd=deep)
        os.close(deep)
        deep = below
    os.close(os.open("lost.txt", os.O_CREAT | os.O_WRONLY, dir_fd=deep))
    os.close(deep)
    library, path, errors = Library(tmp_path), "", list[str]()
    for _ in range(18):
        folder = scanned(library, path)
        errors += [folder.error] if folder.error else []
        path = f"{path}/{name}".lstrip("/")
    assert set(errors) == {os.strerror(errno.ENAMETOOLONG)}
    assert set(scanned(library, "").files) == {"a.txt"}


def test_a_file_that_cannot_be_looked_at_is_an_error_and_the_others_are_listed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(tmp_path, "a.txt", "b.txt", "c.txt")
    monkeypatch.setattr(
        os, "scandir", lambda path: Scan(path, "b.txt", OSError(errno.EIO, "Input/output error"))
    )
    folder = scanned(Library(tmp_path), "")
    assert set(folder.files) == {"a.txt", "c.txt"}
    assert folder.error == "Input/output error"


def test_a_file_that_vanishes_while_its_folder_is_listed_is_no_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(tmp_path, "a.txt", "b.txt")
    monkeypatch.setattr(
        os, "scandir", lambda path: Scan(path, "b.txt", FileNotFoundError(errno.ENOENT, "gone"))
    )
    folder = scanned(Library(tmp_path), "")
    assert (set(folder.files), folder.error) == ({"a.txt"}, "")


def test_the_pulse_is_felt_in_the_middle_of_a_huge_flat_folder(tmp_path: Path) -> None:
    for number in range(2100):
        os.mknod(tmp_path / f"{number}.txt")
    felt = list[int]()
    assert sum(len(part.files) for part in Library(tmp_path).scan("", lambda: felt.append(1))) == 2100
    assert len(felt) >= 5


class Scan:
    """A directory in which one entry's `stat` fails."""

    def __init__(self, path: Path, name: str, error: OSError) -> None:
        self._names, self._broken, self._error = list(path.iterdir()), name, error

    def __enter__(self) -> Iterator["Entry"]:
        return (Entry(path, self._error if path.name == self._broken else None) for path in self._names)

    def __exit__(self, *_: object) -> None:
        pass


class Entry:
    def __init__(self, path: Path, error: OSError | None) -> None:
        self.name, self._path, self._error = path.name, path, error

    def is_dir(self, follow_symlinks: bool) -> bool:
        return False

    def is_file(self) -> bool:
        return True

    def is_symlink(self) -> bool:
        return False

    def stat(self) -> os.stat_result:
        if self._error:
            raise self._error
        return self._path.stat()
