"""Answers kept under the key that the caller gave, in the transaction that made them true."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, delete, insert, select

from service.ledger.database import AnyRow, utc_now
from service.ledger.schema import idempotency


def get(c: Connection, key: str) -> AnyRow | None:
    """The answer kept under a key."""
    return c.execute(select(idempotency).where(idempotency.c.key == key)).first()


def put(c: Connection, key: str, body_sha256: str, response: Mapping[str, Any]) -> None:
    """Keep an answer."""
    values = {"key": key, "body_sha256": body_sha256, "response": dict(response), "at": utc_now()}
    c.execute(insert(idempotency).values(**values))


def forget_before(c: Connection, at: str) -> None:
    """Drop answers older than `at` (ISO text)."""
    c.execute(delete(idempotency).where(idempotency.c.at < at))
