"""backup.json: written last, it says that a backup is whole, and what is in it."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from service.errors import BadRequest, Corrupt
from service.index.files import sync_folder, write_new
from service.index.sealed import Unsealed, seal, unseal

NAME = "backup.json"
LEDGER = "tidestone.db"
FORMAT = "tidestone-backup-1"


@dataclass(frozen=True, slots=True)
class Kept:
    """One file of a backup."""

    path: str  # relative to the backup, and to the data folder it came from
    sha256: str
    bytes: int


@dataclass(frozen=True, slots=True)
class Backup:
    """What a backup holds."""

    store_id: str
    at: str  # ISO 8601, UTC
    generations: Mapping[str, int]  # by collection
    files: Sequence[Kept]

    @property
    def bytes(self) -> int:
        return sum(file.bytes for file in self.files)


def write(root: Path, backup: Backup) -> None:
    """Make a backup count."""
    values: dict[str, Any] = {**asdict(backup), "format": FORMAT}
    # Renamed into place: half a list would be a damaged backup, and no list is none.
    write_new(root, f"{NAME}.new", seal(values))
    (root / f"{NAME}.new").rename(root / NAME)
    sync_folder(root)


def read(root: Path) -> Backup:
    """Raises BadRequest where there is no finished backup, or one that names files elsewhere; Corrupt where its list is
    damaged."""
    path = root / NAME
    try:
        values = unseal(path.read_bytes())
    except OSError as error:
        raise BadRequest(f"{root} is no finished backup: it has no {NAME}.") from error
    except Unsealed as error:
        raise Corrupt(path, "a list of the backup's files", str(error)) from error
    if values.pop("format") != FORMAT:
        raise BadRequest(f"{path} was made by another version of Tidestone: restore it with that one.")
    files = [Kept(**file) for file in values.pop("files")]
    for file in files:
        if not _is_inside(file.path):
            raise BadRequest(
                f"{path} names {file.path!r}, which is no file of a backup: nothing is restored from it."
            )
    return Backup(files=files, **values)


def _is_inside(path: str) -> bool:
    """The list comes from outside, and what it names is written: nothing but the ledger and files of collections."""
    first, *others = path.split("/")
    return path == LEDGER or (first == "collections" and bool(others) and not {"", ".", ".."} & set(others))
