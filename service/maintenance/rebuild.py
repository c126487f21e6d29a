"""A ledger that was lost or damaged is made anew from what the collections' folders say of themselves."""

import os
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from fcntl import LOCK_EX, LOCK_NB, flock
from pathlib import Path
from typing import Any
from uuid import uuid4

from service.engine.faults import told
from service.errors import Conflict, Corrupt, Refused, TryAgain
from service.failpoints import reach
from service.index import manifest
from service.index.collection_file import NAME as COLLECTION
from service.index.commit_record import Chain, read_chain
from service.index.files import put_aside, sync, sync_folder
from service.index.sealed import Unsealed, unseal
from service.ledger import anew
from service.ledger.damage import is_damaged
from service.ledger.database import Ledger, sqlite_url
from service.ledger.migrate import migrate
from service.maintenance.looking_back import Past
from service.maintenance.rebuilt_rows import Found, put_collection
from service.maintenance.replay import Replayed, replay

LEDGER = "tidestone.db"
_STAGING = ".rebuild-"
_BESIDE = ("-wal", "-shm")


@told()
def rebuild(data_dir: Path, adopt: bool = False) -> dict[str, Any]:
    """Make the ledger from every collection's commit chain, and put a damaged one aside; what was found.

    Jobs, events, metrics and pins are not in the chain: they begin anew. Earlier generations are there again where all
    their files are. `adopt`: folders of several ledgers become this one's. Raises Refused, before anything is written,
    where a sound ledger is there, a chain is broken, or folders belong to different ledgers; TryAgain where the disk is
    full; Conflict while another process has a collection.
    """
    _refuse_a_sound_ledger(data_dir)
    folders = sorted(path for path in (data_dir / "collections").glob("*") if (path / "commits").is_dir())
    if not folders:
        raise Refused(f"{data_dir} has no collection to make a ledger from: restore a backup.")
    with _alone(folders):
        for left in data_dir.glob(f"{_STAGING}*"):
            shutil.rmtree(left, ignore_errors=True)
        stores = {path: _identity(path, adopt) for path in folders}
        store_id = _one_store(stores, adopt)
        found = [_read(path) for path in folders]
        _refuse_twins(found)
        staging = data_dir / f"{_STAGING}{uuid4().hex}"
        staging.mkdir()
        try:
            _write(staging, store_id, found)
            for (path, identity), each in zip(stores.items(), found, strict=True):
                if not each.present.generation:
                    _let_begin_anew(path)
                elif identity.get("store_id") != store_id and (path / COLLECTION).exists():
                    put_aside(path, COLLECTION)
            aside = _put_into_place(staging, data_dir)
        finally:
            shutil.rmtree(staging, ignore_errors=True)
    told = {
        each.name: {"generation": each.present.generation, "documents": len(each.present.visible.open)}
        for each in found
    }
    return {"collections": told, "damaged_ledger": aside}


def _refuse_a_sound_ledger(data_dir: Path) -> None:
    file = data_dir / LEDGER
    if file.exists() and file.stat().st_size and not is_damaged(file):
        raise Refused(
            f"{file} is sound, and knows more than can be made from the collections: `tidestone repair` mends files. "
            "If it is another collection's ledger, move it away first."
        )


@contextmanager
def _alone(folders: list[Path]) -> Iterator[None]:
    """Nobody may be at work: the locks that holders keep are free, and ours during the block."""
    with ExitStack() as held:
        for path in folders:
            descriptor = os.open(path / "writer.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
            held.callback(os.close, descriptor)
            try:
                flock(descriptor, LOCK_EX | LOCK_NB)
            except BlockingIOError as error:
                raise Conflict(f"A process is at work on {path}: stop every Tidestone first.") from error
        yield


def _identity(folder: Path, adopt: bool) -> dict[str, Any]:
    """What collection.json says; where it is damaged, what the newest commit record says."""
    try:
        return unseal((folder / COLLECTION).read_bytes())
    except (OSError, Unsealed):
        chain = _chain(folder)
        if not chain.records and not adopt and (folder / manifest.NAME).exists():
            raise Refused(f"Nothing in {folder} says whose it is: move it away, or --adopt it.") from None
        newest = chain.records[-1] if chain.records else None
        return {} if newest is None else {"collection_id": newest.collection_id, "store_id": newest.store_id}


def _one_store(stores: dict[Path, dict[str, Any]], adopt: bool) -> str:
    ids = sorted({str(identity["store_id"]) for identity in stores.values() if identity})
    if len(ids) > 1 and not adopt:
        told = "; ".join(f"{path.name} of {identity.get('store_id')}" for path, identity in stores.items())
        raise Refused(
            f"These folders belong to different ledgers ({told}): move the others' away, or --adopt them all."
        )
    return ids[0] if ids else uuid4().hex


def _chain(folder: Path) -> Chain:
    try:
        return read_chain(folder)
    except (Corrupt, ValueError) as error:
        raise Refused(f"{folder.name}: a commit record is missing or damaged, and what it said with it ({error}). "
                      "Restore a backup, or move this folder away and ingest its documents again.") from error  # fmt: skip


def _read(folder: Path) -> Found:
    chain = _chain(folder)
    present = replay(chain.records)
    _refuse_a_newer_manifest(folder, present)
    identity = _identity(folder, adopt=True)
    numbers, tokens = [0], [0]
    for path in (*(folder / "segments").glob("*"), *(folder / "commits").glob("*")):
        numbers.append(
            int(path.name[:8]) if path.name[:8].isdigit() and path.parent.name == "segments" else 0
        )
        token = path.stem.rpartition("-t")[2]
        tokens.append(int(token) if token.isdigit() else 0)
    collection_id = str(identity.get("collection_id") or uuid4().hex)
    past = Past.of(folder, present, [record.generation for record in chain.records])
    return Found(folder.name, collection_id, chain, present, past, max(tokens), max(numbers))


def _refuse_a_newer_manifest(folder: Path, present: Replayed) -> None:
    try:
        published = manifest.read_manifest(folder)
    except Corrupt:
        published = None  # derived, so it is written anew
    if published is not None and published.generation > present.generation:
        raise Refused(
            f"{folder.name} was published at generation {published.generation}, and its commit records end at "
            f"{present.generation}: restore a backup."
        )
    if not present.spaces and published is not None:
        present.spaces.append((0, dict(published.space)))
    if present.generation and not present.spaces:
        raise Refused(f"{folder.name}: nothing says which model its vectors are of. Restore a backup.")


def _refuse_twins(found: list[Found]) -> None:
    """A copy of a collection's folder beside it says of every file that it is the other's."""
    names: dict[str, str] = {}
    for each in found:
        other = names.setdefault(each.collection_id, each.name)
        if other != each.name:
            raise Refused(
                f"{each.name} and {other} are the same collection, one a copy of the other: move the copy away."
            )


def _let_begin_anew(folder: Path) -> None:
    """Nothing was ever committed, so the next job makes another collection of this name. Its identity goes last: this
    can run again."""
    for path in (folder / "commits").iterdir():
        put_aside(folder, f"commits/{path.name}")
    if (folder / COLLECTION).exists():
        put_aside(folder, COLLECTION)


def _write(staging: Path, store_id: str, found: list[Found]) -> None:
    """The new ledger, closed and durable, in a folder of its own."""
    with closing(Ledger.open(sqlite_url(staging))) as ledger:
        migrate(ledger)
        with ledger.write() as c:
            anew.put_store(c, store_id)
            for each in found:
                if each.present.generation:
                    put_collection(c, each)
    if any((staging / f"{LEDGER}{end}").exists() for end in _BESIDE):  # SQLite does not say so when it closes
        raise TryAgain("disk_low", f"{staging / LEDGER} does not fit on the disk")
    sync(staging / LEDGER)
    reach("rebuild.written")


def _put_into_place(staging: Path, data_dir: Path) -> str | None:
    """The damaged ledger gets another name and the new one its own; in between there is none, and this can run again."""
    file, aside = data_dir / LEDGER, None
    if file.exists():
        aside = _free_name(data_dir, "damaged")
        for end in ("", *_BESIDE):
            if (beside := data_dir / f"{LEDGER}{end}").exists():
                beside.rename(data_dir / f"{aside}{end}")
    reach("rebuild.aside")
    lost = _free_name(data_dir, "lost")
    for end in _BESIDE:  # of a ledger that is lost: they would be taken for the new one's
        if (beside := data_dir / f"{LEDGER}{end}").exists():
            beside.rename(data_dir / f"{lost}{end}")
    sync_folder(data_dir)  # or a power cut leaves the old one's log beside the new one
    (staging / LEDGER).rename(file)
    sync_folder(data_dir)
    reach("rebuild.placed")
    return aside


def _free_name(data_dir: Path, what: str) -> str:
    """A name for a ledger that is put aside under which neither it nor its log would take another's place."""
    name, number = f"{LEDGER}.{what}", 1
    while any((data_dir / f"{name}{end}").exists() for end in ("", *_BESIDE)):
        number += 1
        name = f"{LEDGER}.{what}~{number}"
    return name
