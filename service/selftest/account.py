"""What a folder holds, and in what it differs from what it should."""

import hashlib
import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from sqlalchemy import func, select

from service.ledger import collections, reserve, segments, versions
from service.ledger.database import AnyRow
from service.ledger.schema import documents as document_rows
from service.ledger.schema import events
from service.maintenance.verify import verify_collection
from service.reader import Collection
from service.selftest.phases import Phase
from service.selftest.world import World

LOST, DOUBLED, UNREADABLE, MANUAL = "lost", "doubled", "unreadable", "manual"
FAULTS = (LOST, DOUBLED, UNREADABLE, MANUAL)
_OF_VERIFY = {"missing": LOST, "duplicate": DOUBLED, "dead": DOUBLED}
_IN_LEDGER, _ON_DISK = ("numbers",), ("foreign", "quarantine")
_MOST_TOLD = 3
Account = dict[str, Any]
Fault = tuple[str, str]  # which of FAULTS, and what of


def account_of(world: World) -> Account:
    """Everything that a crash must not change, as JSON: what readers find, what ledger and files say, what is open."""
    with world.ledger.read() as c:
        rows = collections.listing(c)
        damaged = select(func.count()).where(events.c.type == "segment_damaged")
        taken_out = c.execute(damaged).scalar_one()
    jobs = [
        [j["state"], j["progress"]["failed"], j["progress"]["skipped"]] for j in world.jobs.listing()["jobs"]
    ]
    return {
        "collections": {row.name: _collection(world, row) for row in rows},
        "jobs": jobs,
        "tasks": sorted(
            {(task["kind"], task["state"]) for task in world.orders.listing()["tasks"]}
        ),  # a merge may be made twice
        "taken out": taken_out,
        "beside": [
            name
            for name in _names(world.settings.data_dir, deep=False)
            # The log comes and goes; the reserve is there from the first time that somebody looks after the dead.
            if not name.startswith("tidestone.db-") and name != reserve.NAME
        ],
    }


def ending_of(phase: Phase, world: World) -> dict[str, Account]:
    """See everything through, and tell how it stands then, and after one more start-up."""
    phase.settle(world)
    settled = account_of(world)
    phase.again(world)
    return {"settled": settled, "again": account_of(world)}


def traces_in(world: World) -> dict[str, bool]:
    """Whether a blow has left anything that has to be mended: files nobody knows, or a stale manifest."""
    with world.ledger.read() as c:
        rows = collections.listing(c)
        known = {row.name: _known(c, row) for row in rows}
    stale = any(row.generation != row.published_generation for row in rows)
    return {"found": stale or any(_left(world.settings.folder(name), files) for name, files in known.items())}


def faults(found: Mapping[str, Account], truth: Mapping[str, Account]) -> list[Fault]:
    """What is wrong with an ending; nothing when it says the same as the uninterrupted run's."""
    settled = _faults_of(found["settled"], truth["settled"], _IN_LEDGER)
    return settled or _faults_of(found["again"], truth["again"], (*_IN_LEDGER, *_ON_DISK))


def _faults_of(found: Account, truth: Account, facts: Sequence[str]) -> list[Fault]:
    wrong: list[Fault] = []
    for name in sorted(found["collections"].keys() | truth["collections"].keys()):
        mine, right = (account["collections"].get(name) for account in (found, truth))
        if mine is None or right is None:
            wrong.append((DOUBLED if right is None else LOST, f"collection {name}"))
        else:
            wrong += _faults_of_collection(mine, right, facts)
    for what in ("jobs", "tasks", "beside"):
        if found[what] != truth[what]:
            wrong.append((MANUAL, f"{what}: {found[what]} instead of {truth[what]}"))
    if found["taken out"] != truth["taken out"]:
        said = f"{found['taken out']} segments were found damaged instead of {truth['taken out']}"
        wrong.append((UNREADABLE, said))
    return wrong


def _faults_of_collection(found: Account, truth: Account, facts: Sequence[str]) -> Iterator[Fault]:
    mine, right = (Counter(map(tuple, account["rows"])) for account in (found, truth))
    yield from ((LOST, f"chunk {row}") for row in _some(right - mine))
    yield from ((DOUBLED, f"chunk {row}") for row in _some(mine - right))
    yield from ((_OF_VERIFY.get(kind, UNREADABLE), f"{kind} {said}") for kind, said in found["problems"])
    if found["ledger"] != found["searchable"]:
        yield LOST, "what the ledger calls live is not what a reader finds"
    if found["states"] != truth["states"]:
        different = _some(dict(found["states"].items() - truth["states"].items()))
        yield MANUAL, f"documents: {different}, or missing"
    for what in facts:
        if found[what] != truth[what]:
            yield MANUAL, f"{what}: {found[what]} instead of {truth[what]}"


def _some(of: Mapping[Any, Any]) -> list[Any]:
    return sorted(of)[:_MOST_TOLD]


def _collection(world: World, row: AnyRow) -> Account:
    folder = world.settings.folder(row.name)
    with world.ledger.read() as c:
        live = {version.key: version.chunks for version in versions.live(c, row.id)}
        states = select(document_rows.c.key, document_rows.c.state)
        states = states.where(document_rows.c.collection_id == row.id)
        said = {found.key: found.state for found in c.execute(states)}
        known = _known(c, row)
    rows, problems = _rows(folder)
    verified = verify_collection(world.ledger, world.settings, row.name)["problems"]
    return {
        "rows": rows,
        "problems": problems + [[problem["kind"], problem["message"]] for problem in verified],
        "searchable": dict(Counter(key for key, *_ in rows)),
        "ledger": live,
        "states": said,
        "numbers": [row.documents, row.vectors, row.generation - row.published_generation],
        "foreign": _foreign(folder, known),
        "quarantine": _names(folder / "quarantine"),
    }


def _rows(folder: Path) -> tuple[list[list[Any]], list[list[str]]]:
    """(key, ordinal, hash of text and vector) of everything live, from verified files; and what is not readable."""
    try:
        opened = Collection.open(folder)
        problems = [["damaged", str(problem)] for problem in opened.verify()]
        rows = [[r.key, r.ordinal, _digest(r.text.encode() + r.vector.tobytes())] for r in opened.rows()]
    except Exception as error:  # whatever a reader meets, it cannot read
        return [], [["unreadable", f"{type(error).__name__}: {error}"]]
    return sorted(rows), problems


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:16]


def _known(c: Any, row: AnyRow) -> set[str]:
    return segments.known_files(c, row.id) | segments.names_of_checkpoints(c, row.id)


def _foreign(folder: Path, known: set[str]) -> list[str]:
    """Files in a collection's folder that the ledger does not name; what is in scratch the next merge removes."""
    elsewhere = ("quarantine/", "scratch/")
    return [name for name in _names(folder) if name not in known and not name.startswith(elsewhere)]


def _left(folder: Path, known: set[str]) -> bool:
    return any("/" in name or name.endswith(".tmp") for name in _foreign(folder, known))


def _names(folder: Path, deep: bool = True) -> Sequence[str]:
    found = folder.rglob("*") if deep else folder.iterdir()
    return sorted(os.path.relpath(path, folder) for path in found if path.is_file())
