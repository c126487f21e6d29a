"""What a job would do, without doing it: the same walk as the job's, and nothing is written."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from service.core.guard import Deletions, may_delete
from service.core.keys import file_key
from service.core.stamp import size_in
from service.engine.comparing import NO_SOURCE, Comparison, Scope
from service.engine.jobs import Order
from service.engine.settings import EngineSettings
from service.engine.weighing import had_something, weigh
from service.ledger import collections, documents, gauges
from service.ledger.database import AnyRow, Ledger
from service.ledger.documents import GONE
from service.ports import Source

SHOWN = 20  # paths of each kind
_AT_ONCE = 1_000  # files in memory
_LEAST_SECONDS = 1.0  # of measured work, before it says how fast the next will be


@dataclass(frozen=True, slots=True)
class Planner:
    """The use case of plans."""

    ledger: Ledger
    settings: EngineSettings
    open_source: Callable[[Path, str], Source]  # raises Refused
    recipe: Callable[[], str]

    def plan(self, order: Order) -> dict[str, Any]:
        """Compare now; raises Refused where the folder cannot be listed. As long as a listing takes."""
        with self.ledger.read() as c:
            collection = collections.find(c, order.collection)
            source = collection and collections.find_source(c, collection.id, "library", order.root)
            owned = documents.count_of(c, source.id, order.folder) if source else 0
            speed = gauges.bytes_per_second(c, _LEAST_SECONDS)
        source_id = source.id if source else NO_SOURCE
        scope = Scope(source_id, order.folder, self.recipe(), order.mode == "fresh")
        told = _Told(self.ledger, collection, order.root)
        walk = Comparison(self.ledger, self.open_source(order.path, order.folder), scope, lambda: None, told)
        walk.run()
        told.settle()
        mode = order.deletes or self.settings.deletes
        allowed = may_delete(mode, told.deletions, owned, order.deletes_digest)
        removed = {"documents": told.deletions.documents, "digest": told.deletions.digest}
        return {
            "collection": order.collection,
            "source": {
                "type": "library",
                "root": order.root,
                "path": str(order.path),
                "folder": order.folder,
            },
            "discovered": walk.discovered,
            "add": told.kinds["add"].view,
            "update": told.kinds["update"].view,
            "unchanged": walk.unchanged,
            "known_failed": walk.known_failed,
            "remove": {**told.kinds["remove"].view, **removed, "withheld": not allowed},
            "folders_unreadable": walk.unreadable,
            "bytes": told.bytes,
            "estimate_seconds": None if speed is None else round(told.bytes / speed, 1),
        }


@dataclass
class _Kind:
    """Files of which the same would become."""

    files: int = 0
    paths: list[str] = field(default_factory=list)

    def add(self, folder: str, name: str) -> None:
        self.files += 1
        if len(self.paths) < SHOWN:
            self.paths.append(f"{folder}/{name}" if folder else name)

    @property
    def view(self) -> dict[str, Any]:
        """The number of files, and the first of them."""
        return {"files": self.files, "paths": self.paths}


class _Told:
    """Counts what it hears; implements `Heard`."""

    def __init__(self, ledger: Ledger, collection: AnyRow | None, root: str) -> None:
        self._ledger, self._collection, self._root = ledger, collection, root
        self.kinds: Mapping[str, _Kind] = {kind: _Kind() for kind in ("add", "update", "remove")}
        self.deletions, self.bytes = Deletions(), 0
        self._found: list[tuple[str, str]] = []
        self._gone: list[tuple[str, str]] = []
        self._emptied: list[tuple[str, str]] = []

    def found(self, folder: str, name: str, stamp: str) -> None:
        self.bytes += size_in(stamp)
        self._found.append((folder, name))
        if not size_in(stamp):
            self._emptied.append((folder, name))

    def gone(self, folder: str, name: str) -> None:
        self._gone.append((folder, name))

    def between(self) -> None:
        if len(self._found) + len(self._gone) >= _AT_ONCE:
            self.settle()

    def settle(self) -> None:
        """Tell what is new from what is known, and weigh what is gone."""
        keys = [file_key(self._root, folder, name) for folder, name in self._found]
        known: Mapping[str, AnyRow] = {}
        if self._collection is not None:
            with self._ledger.read() as c:
                known = documents.of_files(c, self._collection.id, keys)
                emptied = had_something(c, self._collection.id, self._root, self._emptied)
                weigh(c, self._collection.id, self._root, [*self._gone, *emptied], self.deletions)
        for key, (folder, name) in zip(keys, self._found, strict=True):
            is_known = key in known and known[key].state not in GONE
            self.kinds["update" if is_known else "add"].add(folder, name)
        for folder, name in self._gone:
            self.kinds["remove"].add(folder, name)
        self._found, self._gone, self._emptied = [], [], []
