"""Backups and lost ledgers in the self-test: the end of such a phase is what the restored folder holds."""

import shutil
from contextlib import suppress
from dataclasses import replace

from service.core.upkeep import Kind
from service.errors import Conflict, Refused
from service.ledger.damage import is_damaged
from service.ledger.database import Ledger, sqlite_url
from service.maintenance.backup import back_up, listing
from service.maintenance.backup_file import LEDGER
from service.maintenance.put_back import MARKER, put_back
from service.maintenance.rebuild import rebuild
from service.selftest.deeds import settle
from service.selftest.world import World

_BACKUPS, _RESTORED = "backups", "restored"


def back_up_once(world: World) -> bool:
    """Make a backup, unless there is a finished one."""
    into = world.folder / _BACKUPS
    if listing(into):
        return False
    back_up(world.ledger, world.settings.data_dir, into)
    return True


def bring_back(world: World) -> bool:
    """Restore the newest backup into a folder of its own, unless that is done."""
    restored = world.folder / _RESTORED
    if (restored / LEDGER).exists() and not (restored / MARKER).exists():
        return False
    # Somebody frozen is at it, and finishes; or this one was, and all was there when it woke.
    with suppress(Conflict, Refused):
        put_back(listing(world.folder / _BACKUPS)[-1][0], restored)
        return True
    return False


def lose_the_ledger(world: World) -> None:
    """The collections are in a folder of their own, whose ledger is damaged."""
    restored = world.folder / _RESTORED
    shutil.copytree(world.settings.data_dir / "collections", restored / "collections")
    (restored / LEDGER).write_bytes(b"no ledger any more" * 1_000)


def rebuild_once(world: World) -> bool:
    """Make that ledger anew, unless that is done."""
    restored = world.folder / _RESTORED
    if (restored / LEDGER).exists() and not is_damaged(restored / LEDGER):
        return False
    with suppress(Conflict):  # somebody frozen is at it, and finishes
        rebuild(restored)
        return True
    return False


def move_into_rebuilt(world: World) -> None:
    """From now on the world is the one with the new ledger."""
    rebuild_once(world)
    _move(world)


def move_into_restored(world: World) -> None:
    """From now on the world is the restored one, published and with nothing left to do."""
    bring_back(world)
    _move(world)


def _move(world: World) -> None:
    world.ledger.close()
    world.settings = replace(world.settings, data_dir=world.folder / _RESTORED)
    world.ledger = Ledger.open(sqlite_url(world.settings.data_dir))
    world.orders.place("docs", Kind.REPAIR)
    settle(world)
