"""Open the ledger, and run one transaction at a time on it."""

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar
from uuid import uuid4

from sqlalchemy import Connection, Engine, create_engine, event, insert, select
from sqlalchemy.engine import Row
from sqlalchemy.exc import OperationalError

from service import failpoints
from service.errors import Refused, TryAgain
from service.failpoints import reach
from service.ledger.reserve import Reserve
from service.ledger.schema import store
from service.ledger.soundness import was_left_open
from service.ledger.translate import is_busy, translated

T = TypeVar("T")
AnyRow = Row[*tuple[Any, ...]]

FORMAT = 1
BUSY_SECONDS = 15.0
_WAITING = f"PRAGMA busy_timeout = {int(BUSY_SECONDS * 1000)}"
_SLICE = "PRAGMA busy_timeout = 500"


def utc_now() -> str:
    """Now, as an ISO 8601 text in UTC with microseconds; such texts sort by time."""
    return datetime.now(UTC).isoformat(timespec="microseconds")


@dataclass
class Patience:
    """Until when the right to write is waited for."""

    ends: float = math.inf  # monotonic

    def left(self, began: float) -> float:
        """Seconds; nothing or less: none."""
        return min(began + BUSY_SECONDS, self.ends) - time.monotonic()


class Ledger:
    """Short transactions on one database. Thread-safe; every block takes a pooled connection."""

    def __init__(self, url: str, engine: Engine, patience: "Patience") -> None:
        self.url = url
        self._engine, self._patience = engine, patience
        file = engine.url.database if engine.dialect.name == "sqlite" else None
        self._file = Path(file) if file else None
        self._opened: tuple[int, int] | None = None  # device and inode
        self.left_open = self._file is not None and was_left_open(self._file)
        self._reserve = None if self._file is None else Reserve(self._file.parent)

    @classmethod
    def open(cls, url: str) -> "Ledger":
        """Connect to `url` ("sqlite:///path" or PostgreSQL); the schema must have been migrated."""
        engine, patience = create_engine(url), Patience()
        if engine.dialect.name == "sqlite":
            _prepare_sqlite(engine, patience)
        if failpoints.is_armed():
            _pass_a_point_around_statements(engine)
        return cls(url, engine, patience)

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A transaction that sees one state of the ledger and writes nothing."""
        self._require_same_file()
        with translated(self._file), self._engine.connect() as connection:
            yield connection

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """A transaction that commits at the end of the block, and rolls back when the block raises.

        On SQLite the write lock is taken at the beginning, so a block never fails half-way for want of it.
        """
        self._require_same_file()
        writing = self._engine.execution_options(writes=True)
        try:
            with translated(self._file), writing.begin() as connection:
                yield connection
                reach("transaction.before")
        except TryAgain as error:
            if error.reason == "not_writable":
                # What SQLite could not open for writing once it has open for reading, for as long as it is open.
                self._engine.dispose()
            raise
        reach("transaction.after")

    def insist(self, act: Callable[[Connection], T]) -> T:
        """A write transaction for what must be possible on a full disk: the reserve is given up for it."""
        try:
            with self.write() as connection:
                return act(connection)
        except TryAgain as error:
            if error.reason != "disk_low" or self._reserve is None or not self._reserve.give_up():
                raise
        with self.write() as connection:
            return act(connection)

    def hurry(self, seconds: float) -> None:
        """All waits for the right to write, those that have begun too, end within so many seconds: the process is to end."""
        self._patience.ends = min(self._patience.ends, time.monotonic() + seconds)

    def keep_reserve(self) -> None:
        """Take the reserve again, if it is not there and the disk can spare it."""
        if self._reserve is not None:
            self._reserve.keep()

    def wanting_bytes(self) -> int:
        """How many bytes must be free before the reserve, which is given up, is there again; 0: it is there."""
        return 0 if self._reserve is None else self._reserve.wanting_bytes()

    def _require_same_file(self) -> None:
        """SQLite goes on in a file that was deleted or moved away, and what it takes there is lost: a data folder that
        is unmounted, or put back from a backup, under a running service."""
        if self._file is None:
            return
        try:
            stat = self._file.stat()
            found = (stat.st_dev, stat.st_ino)
        except OSError:
            found = None
        self._opened = self._opened or found
        if found != self._opened:
            where = f"{self._file} is gone, or not the file that was opened"
            raise TryAgain(
                "ledger_unavailable", f"{where}: put it back, or start again with the one that is there"
            )

    @property
    def file(self) -> Path | None:
        """The embedded ledger's file; None for a server's."""
        return self._file

    @property
    def engine(self) -> Engine:
        """For migrations."""
        return self._engine

    def close(self) -> None:
        """Close every pooled connection; the last one out checkpoints SQLite's log."""
        self._engine.dispose()


def sqlite_url(folder: Path) -> str:
    """The URL of the embedded ledger in a data folder."""
    return f"sqlite:///{folder / 'tidestone.db'}"


def store_identity(connection: Connection) -> AnyRow:
    """This ledger's (store_id, format); made at the first call."""
    row = connection.execute(select(store.c.store_id, store.c.format)).first()
    if row is None:
        connection.execute(insert(store).values(id=1, store_id=uuid4().hex, format=FORMAT))
        return store_identity(connection)
    if row.format > FORMAT:
        raise Refused(
            f"The ledger has format {row.format}, this Tidestone knows {FORMAT}: run a newer Tidestone, "
            "or point data_dir elsewhere."
        )
    return row


def _prepare_sqlite(engine: Engine, patience: Patience) -> None:
    @event.listens_for(engine, "connect")
    def _connect(connection, _record):  # type: ignore[no-untyped-def]
        connection.isolation_level = None  # BEGIN is ours: the driver's own comes too late for reads
        connection.execute(_WAITING)
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute("PRAGMA cache_size = -8000")

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        if connection.get_execution_options().get("writes", False):
            _begin_to_write(connection, patience)
        else:
            connection.exec_driver_sql("BEGIN")


def _begin_to_write(connection: Connection, patience: Patience) -> None:
    """Wait in slices: SQLite's own wait cannot be cut short when the process is told to end."""
    began, driver = time.monotonic(), connection.connection.driver_connection
    assert driver is not None
    driver.execute(_SLICE)
    try:
        while True:
            try:
                connection.exec_driver_sql("BEGIN IMMEDIATE")
                return
            except OperationalError as error:
                if not is_busy(error) or patience.left(began) <= 0:
                    raise
    finally:
        driver.execute(_WAITING)


def _pass_a_point_around_statements(engine: Engine) -> None:
    for when in ("before", "after"):

        @event.listens_for(engine, f"{when}_cursor_execute")
        def _reach(connection, *_, point=f"statement.{when}"):  # type: ignore[no-untyped-def]
            if connection.get_execution_options().get("writes", False):
                reach(point)


def by_columns(rows: Sequence[Mapping[str, Any]]) -> dict[tuple[str, ...], list[Mapping[str, Any]]]:
    """Rows that change the same columns share a statement; `the_…` entries only select the row."""
    groups: dict[tuple[str, ...], list[Mapping[str, Any]]] = {}
    for row in rows:
        names = tuple(sorted(name for name in row if not name.startswith("the_")))
        groups.setdefault(names, []).append(row)
    return groups
