"""What every `Source` does; a subclass gives `build`, which makes one from the files that there are to be."""

from collections.abc import Callable, Iterator

import pytest

from service.core.stamp import size_in
from service.ports import Folder, Source

Build = Callable[[dict[str, str]], Source]
FILES = {
    "a.txt": "one",
    "two words.txt": "two",
    "d/b.txt": "three",
    "d/deep/er/c.txt": "four",
    "de\u0301compose\u0301.txt": "an accent of its own",
    "d\u00e9/composed.txt": "an accent in one",
    "new\nline.txt": "odd",
    "%41.txt": "not an A",
}


def walk(source: Source) -> Iterator[Folder]:
    waiting = [""]
    while waiting:
        folder = scanned(source, waiting.pop())
        waiting += [f"{folder.path}/{name}".lstrip("/") for name in folder.subfolders]
        yield folder


def scanned(source: Source, path: str) -> Folder:
    """A folder of which the files come in one part."""
    (folder,) = source.scan(path, lambda: None)
    return folder


def listed(source: Source) -> dict[str, str]:
    """Path -> stamp of everything that a source lists."""
    return {
        f"{folder.path}/{name}".lstrip("/"): stamp
        for folder in walk(source)
        for name, stamp in folder.files.items()
    }


class SourceContract:
    def test_every_file_is_listed_once_with_its_size(self, build: Build) -> None:
        found = listed(build(FILES))
        assert {path: size_in(stamp) for path, stamp in found.items()} == {
            path: len(text.encode()) for path, text in FILES.items()
        }

    def test_a_folder_is_what_was_asked_for_and_has_no_error(self, build: Build) -> None:
        folder = scanned(build(FILES), "d")
        assert (folder.path, list(folder.files), list(folder.subfolders), folder.error) == (
            "d",
            ["b.txt"],
            ["deep"],
            "",
        )

    def test_a_listed_file_can_be_read_where_it_is_said_to_be(self, build: Build) -> None:
        source = build(FILES)
        for folder in walk(source):
            for name in folder.files:
                path = f"{folder.path}/{name}".lstrip("/")
                assert source.locate(folder.path, name).read_text() == FILES[path]

    def test_the_stamp_stays_until_the_file_changes(self, build: Build) -> None:
        source = build(FILES)
        before = listed(source)
        assert listed(source) == before
        source.locate("", "a.txt").write_text("changed")
        after = listed(source)
        assert after.pop("a.txt") != before.pop("a.txt")
        assert after == before

    def test_a_folder_that_is_not_there_is_an_error_and_not_an_empty_one(self, build: Build) -> None:
        folder = scanned(build(FILES), "gone")
        assert folder.error
        assert not folder.files

    def test_an_empty_source_lists_an_empty_root(self, build: Build) -> None:
        root = scanned(build({}), "")
        assert (dict(root.files), list(root.subfolders), root.error) == ({}, [], "")

    def test_a_pulse_that_raises_ends_the_listing(self, build: Build) -> None:
        class Told(Exception):
            pass

        def pulse() -> None:
            raise Told

        with pytest.raises(Told):
            list(build(FILES).scan("", pulse))
