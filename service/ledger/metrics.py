"""Counters that live in the ledger, so that they are right straight after a restart."""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, insert, select, update

from service.ledger.database import AnyRow
from service.ledger.schema import metrics

BUCKETS_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)


def add(c: Connection, name: str, value: float = 1, **labels: str) -> None:
    """Add to a counter."""
    _write(c, name, labels, metrics.c.value + value, value)


def put(c: Connection, name: str, value: float, **labels: str) -> None:
    """Set a value."""
    _write(c, name, labels, value, value)


def observe(c: Connection, name: str, seconds: float, **labels: str) -> None:
    """Add one observation to a histogram; buckets are cumulative, as Prometheus wants them."""
    for bound in BUCKETS_SECONDS:
        if seconds <= bound:
            add(c, f"{name}_bucket", 1, le=str(bound), **labels)
    add(c, f"{name}_count", 1, **labels)
    add(c, f"{name}_sum", seconds, **labels)


def everything(c: Connection) -> Sequence[AnyRow]:
    """All (name, labels, value) rows."""
    return c.execute(select(metrics).order_by(metrics.c.name, metrics.c.labels)).all()


def labels_of(text: str) -> dict[str, str]:
    """The labels of a stored row."""
    return dict(part.split("=", 1) for part in text.split(",")) if text else {}


def _write(c: Connection, name: str, labels: Mapping[str, str], change: Any, first: float) -> None:
    text = ",".join(f"{key}={value}" for key, value in sorted(labels.items()))
    same = (metrics.c.name == name) & (metrics.c.labels == text)
    if c.execute(update(metrics).where(same).values(value=change)).rowcount == 0:
        c.execute(insert(metrics).values(name=name, labels=text, value=first))
