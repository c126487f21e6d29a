"""A preparer to which content says what a file is, as to the real one: the same name may turn from records to text."""

from pathlib import Path

from service.selftest.fake_preparer import FakePreparer


class SniffingPreparer(FakePreparer):
    """A file that begins with a brace has a record on every line."""

    def is_container(self, path: Path, data: bytes) -> bool:
        return data.startswith(b"{")
