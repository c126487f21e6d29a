"""How much would go with files that are gone, or have nothing in them any more."""

from collections.abc import Sequence

from sqlalchemy import Connection

from service.core.guard import Deletions
from service.core.keys import file_key
from service.ledger import documents


def weigh(
    c: Connection, collection_id: str, root: str, gone: Sequence[tuple[str, str]], deletions: Deletions
) -> None:
    """Add to `deletions` what goes with these files, (folder, name) each: a file of records is as many documents as it
    has records."""
    keys = [file_key(root, folder, name) for folder, name in gone]
    deletions.documents += documents.count_of_files(c, collection_id, keys)
    for key in keys:
        deletions.add(key)


def had_something(
    c: Connection, collection_id: str, root: str, files: Sequence[tuple[str, str]]
) -> set[tuple[str, str]]:
    """Those of these files, (folder, name) each, of which something is visible, or was said in records."""
    keys = {file_key(root, folder, name): (folder, name) for folder, name in files}
    rows = documents.of_files(c, collection_id, list(keys)).values()
    return {keys[row.key] for row in rows if row.version_id is not None or row.state == "container"}
