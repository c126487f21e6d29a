"""collection.json says to which ledger a collection's folder belongs; it never changes."""

import json
from pathlib import Path

from service.errors import Refused
from service.index.files import put_aside, sync, sync_folder, write_new
from service.index.sealed import Unsealed, seal, unseal

NAME = "collection.json"
FORMAT = 1


def claim_folder(root: Path, collection_id: str, store_id: str, is_ours: bool) -> None:
    """Check that the folder is this collection's, and write so where nothing readable says anything.

    `is_ours`: something else proves it. Raises Refused.
    """
    path, mine = root / NAME, _encoded(collection_id, store_id)
    found = path.read_bytes() if path.exists() else None
    if found == mine:
        sync(path)  # its writer may have been killed before that
        return
    if found is not None and (problem := _foreign(root, found)):
        raise Refused(problem)
    if not is_ours:
        raise Refused(
            f"{path} is missing or damaged, and nothing else in the folder proves that it is this ledger's: "
            "restore the file from a backup, or point data_dir to where the collection is."
        )
    if found is not None and mine.startswith(found.rstrip(b"\0")):
        path.unlink()  # the beginning, or the length, of what a crash kept us from writing
    elif found is not None:
        put_aside(root, NAME)
    write_new(root, NAME, mine)
    sync_folder(root)


def problem_of(root: Path, collection_id: str, store_id: str) -> str:
    """What is wrong with the file, or ""."""
    path = root / NAME
    found = path.read_bytes() if path.exists() else None
    if found == _encoded(collection_id, store_id):
        return ""
    return (found is not None and _foreign(root, found)) or f"{path} is missing or damaged."


def problem_in(root: Path, data: bytes, collection_id: str, store_id: str) -> str:
    """What is wrong with these bytes of the file; "" where they, or what a crash has left of them, are this
    collection's."""
    mine = _encoded(collection_id, store_id)
    if mine.startswith(data):
        return ""
    return _foreign(root, data) or f"{root / NAME} is damaged: move the folder away."


def _encoded(collection_id: str, store_id: str) -> bytes:
    return seal({"collection_id": collection_id, "store_id": store_id, "format": FORMAT})


def _foreign(root: Path, data: bytes) -> str:
    """What to say of a file that is whole and not ours; "" when it is not whole."""
    try:
        found = unseal(data)
    except (Unsealed, json.JSONDecodeError):
        return ""
    return (
        f"{root} belongs to another ledger (store {found.get('store_id')}, collection "
        f"{found.get('collection_id')}): point data_dir at that ledger's folder, or move this folder away."
    )
