"""One writer per collection: a fencing token that only grows, and a beat that shows life."""

from sqlalchemy import Connection, insert, select, update

from service.errors import LeaseLost, NotFound
from service.ledger.database import AnyRow
from service.ledger.schema import leases


def read(c: Connection, collection_id: str) -> AnyRow:
    """The lease as it stands: (collection_id, token, holder, lock_host, beat); holder "" means free. Raises NotFound."""
    row = c.execute(select(leases).where(leases.c.collection_id == collection_id)).first()
    if row is None:
        raise NotFound("collection", collection_id)
    return row


def create(c: Connection, collection_id: str, token: int) -> None:
    """The free lease of a new collection; every token that is given out is above this one."""
    c.execute(insert(leases).values(collection_id=collection_id, token=token, holder="", beat=0))


def take(c: Connection, seen: AnyRow, holder: str, job_id: str, lock_host: str) -> int | None:
    """Take the lease from whoever has it in `seen`; the new token, or None when somebody was faster."""
    changed = c.execute(
        update(leases)
        .where(leases.c.collection_id == seen.collection_id, leases.c.token == seen.token)
        .values(
            token=seen.token + 1, holder=holder, job_id=job_id, lock_host=lock_host, beat=leases.c.beat + 1
        )
    ).rowcount
    return int(seen.token) + 1 if changed else None


def hold(c: Connection, collection_id: str, token: int) -> None:
    """First statement of every transaction made under the lease: beat, or raise LeaseLost.

    It takes the row's lock, so a successor cannot fence this transaction before it has ended.
    """
    changed = c.execute(
        update(leases)
        .where(leases.c.collection_id == collection_id, leases.c.token == token, leases.c.holder != "")
        .values(beat=leases.c.beat + 1)
    ).rowcount
    if changed != 1:
        raise LeaseLost(f"The lease with token {token} has been taken over.")


def release(c: Connection, collection_id: str, token: int) -> bool:
    """Let go; False when the lease was lost before."""
    mine = (leases.c.collection_id == collection_id) & (leases.c.token == token)
    return c.execute(update(leases).where(mine).values(holder="")).rowcount == 1
