"""collection.json says to which ledger a collection's folder belongs; it never changes."""

import json
from pathlib import Path
from typing import Any

from service.errors import Refused
from service.index.files import sync_folder, write_new
from service.index.sealed import Unsealed, seal, unseal

NAME = "collection.json"
FORMAT = 1


def claim_folder(root: Path, collection_id: str, store_id: str, is_new: bool) -> None:
    """Check that the folder is this collection's; a new collection writes its name on it. Raises Refused."""
    mine = {"collection_id": collection_id, "store_id": store_id, "format": FORMAT}
    found = _read(root)
    if found is None:
        if not is_new:
            raise Refused(
                f"{root / NAME} is missing: is this the right data_dir? Restore the file from a backup, "
                "or point data_dir to where the collection is."
            )
        write_new(root, NAME, seal(mine))
        sync_folder(root)
    elif found != mine:
        raise Refused(
            f"{root} belongs to another ledger (store {found.get('store_id')}, collection "
            f"{found.get('collection_id')}): point data_dir at that ledger's folder, or move this folder away."
        )


def _read(root: Path) -> dict[str, Any] | None:
    try:
        return unseal((root / NAME).read_bytes())
    except FileNotFoundError:
        return None
    except (Unsealed, json.JSONDecodeError) as error:
        raise Refused(f"{root / NAME} is damaged ({error}): restore it from a backup.") from error
