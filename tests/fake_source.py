"""A source whose folders are what a test says; its files are real ones, in one flat folder."""

from collections.abc import Callable, Iterator
from pathlib import Path

from service.core.stamp import stamp_of
from service.ports import Folder


class FakeSource:
    """Implements `Source`. A folder with an entry in `errors` lists what it has, and then fails with it."""

    def __init__(self, store: Path, files: dict[str, str]) -> None:
        self.errors: dict[str, str] = {}
        self._store = store
        self._numbers: dict[tuple[str, str], int] = {}
        for path, text in files.items():
            self.put(path, text)

    def put(self, path: str, text: str) -> None:
        folder, _, name = path.rpartition("/")
        number = self._numbers.setdefault((folder, name), len(self._numbers))
        (self._store / str(number)).write_text(text)

    def remove(self, path: str) -> None:
        folder, _, name = path.rpartition("/")
        del self._numbers[folder, name]

    def scan(self, folder: str, pulse: Callable[[], None]) -> Iterator[Folder]:
        pulse()
        files = {name: stamp_of(self.locate(at, name).stat()) for at, name in self._numbers if at == folder}
        prefix = f"{folder}/" if folder else ""
        below = {at.removeprefix(prefix).split("/")[0] for at, _ in self._numbers if at.startswith(prefix)}
        missing = "" if files or below else "no such folder"
        error = self.errors.get(folder, missing if folder else "")
        yield Folder(folder, files, sorted(below - {""}), error)

    def locate(self, folder: str, name: str) -> Path:
        return self._store / str(self._numbers.get((folder, name), "gone"))
