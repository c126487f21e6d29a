"""Hold a collection's lease, and tell whether somebody else's is dead."""

import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event, Lock, Thread

from sqlalchemy import Connection

from service.errors import LeaseLost, NotFound, Refused, TryAgain
from service.ledger import jobs, leases, workers
from service.ledger.database import AnyRow, Ledger

DEAD_SECONDS = 15.0  # without a beat, on the observer's own monotonic clock
BEAT_SECONDS = 3.0
LAST_RESORT_SECONDS = DEAD_SECONDS / 2  # without a beat on a full disk: now the reserve is given up for one
WISH_SECONDS = 0.2
MOST_UNWATCHED_SECONDS = 5.0  # that count between two looks of an observer
ERRANDS_SECONDS = 1.0  # between two interruptions of a job's work
_LOCK_TRIES = 5


@dataclass(frozen=True, slots=True)
class Wanted:
    """Whose lease is to be taken, and for which job; "": for maintenance."""

    collection_id: str
    job_id: str = ""


@dataclass
class Observer:
    """Watches the beats of other holders with this process's monotonic clock; nobody's wall clock counts."""

    dead_seconds: float = DEAD_SECONDS
    _seen: dict[str, tuple[int, int, float, float]] = field(default_factory=dict)

    def is_free(self, lease: AnyRow, has_lock: bool) -> bool:
        """Whether the lease may be taken; `has_lock`: this process holds the folder's lock just now."""
        if lease.holder == "":
            return True
        # The lock proves that a holder who had it on this very machine is gone. Not having it proves nothing:
        # its owner may be frozen, or a zombie that keeps it from the present holder.
        if has_lock and lease.lock_host == boot_id():
            return True
        now = time.monotonic()
        token, beat, looked, silent = self._seen.get(lease.collection_id, (-1, -1, now, 0.0))
        # Time in which nobody watched does not count: what froze the holder may have frozen the observer too.
        silent += min(now - looked, MOST_UNWATCHED_SECONDS)
        if (token, beat) != (lease.token, lease.beat):
            silent = 0.0
        self._seen[lease.collection_id] = (lease.token, lease.beat, now, silent)
        return silent >= self.dead_seconds

    def forget(self, collection_id: str) -> None:
        """Watch anew: what kept this process from writing to the ledger has kept the holder from its beat too."""
        self._seen.pop(collection_id, None)

    def is_dead(self, c: Connection, collection_id: str, folder: Path, by_lock: bool = True) -> bool:
        """Whether nobody alive holds the lease; without `by_lock` only its silence can tell."""
        try:
            lock = _lock(folder)
        except OSError:
            lock = None  # a folder that this process may not write to: the beat alone has to tell
        try:
            return self.is_free(leases.read(c, collection_id), by_lock and lock is not None)
        finally:
            _unlock(lock)


class Lease:
    """The right to commit to one collection: a token, a beating thread, and a lock on the folder."""

    def __init__(self, ledger: Ledger, collection_id: str, token: int, holder: str, lock: int | None) -> None:
        self.collection_id, self.token = collection_id, token
        self.lost = False
        self.wish = "running"  # the desired state of the job that is watched
        self.errand = False  # maintenance that may be done beside the job is waiting
        self._ledger, self._holder, self._lock = ledger, holder, lock
        self._job_id: str | None = None
        self._errands: Callable[[Connection], bool] = lambda _: False
        self._next_errand = 0.0  # monotonic
        self._ended = Event()
        self._guard = Lock()
        self._thread = Thread(target=self._live, name="lease", daemon=True)
        self._thread.start()

    @classmethod
    def take(
        cls, ledger: Ledger, observer: Observer, wanted: Wanted, folder: Path, holder: str
    ) -> "Lease | None":
        """Take the lease if it is free or its holder is dead; None when somebody has it."""
        lock = _lock(folder)
        taken = None
        try:
            with ledger.write() as c:
                lease = leases.read(c, wanted.collection_id)
                if observer.is_free(lease, lock is not None):
                    host = boot_id() if lock is not None else ""
                    taken = leases.take(c, lease, holder, wanted.job_id, host)
        except TryAgain:
            observer.forget(wanted.collection_id)
            raise
        finally:
            if taken is None:
                _unlock(lock)
        return None if taken is None else cls(ledger, wanted.collection_id, taken, holder, lock)

    def watch(self, job_id: str, errands: Callable[[Connection], bool] | None = None) -> None:
        """From now on keep `wish` equal to this job's desired state, and `errand` to what `errands` says."""
        with self._guard:
            self._job_id = job_id
            self._errands = errands or self._errands
        self._look()

    def errands_served(self) -> None:
        """Work goes on for a while before the next errand interrupts it."""
        with self._guard:
            self.errand, self._next_errand = False, time.monotonic() + ERRANDS_SECONDS

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """A write transaction that cannot happen once somebody else has the lease; raises LeaseLost, TryAgain."""
        with self._ledger.write() as c:
            self.hold(c)
            yield c

    def hold(self, c: Connection) -> None:
        """First statement of a transaction under the lease; raises LeaseLost."""
        try:
            leases.hold(c, self.collection_id, self.token)
        except LeaseLost:
            self.lost = True
            raise

    def release(self) -> None:
        """Stop beating and let go."""
        self._ended.set()
        self._thread.join()
        try:
            self._ledger.insist(lambda c: leases.release(c, self.collection_id, self.token))
        finally:
            # Once only: a number that is closed twice may be somebody else's by then.
            lock, self._lock = self._lock, None
            _unlock(lock)

    def _live(self) -> None:
        beaten = time.monotonic()
        while not self._ended.wait(WISH_SECONDS) and not self.lost:
            try:
                self._look()
                silent = time.monotonic() - beaten
                if silent >= BEAT_SECONDS:
                    # Not for every beat: the room is kept for pause and cancel, and soon taken by what fills the disk.
                    self._beat(insists=silent >= LAST_RESORT_SECONDS)
                    beaten = time.monotonic()
            except TryAgain:
                continue  # a busy or full ledger: the next round may find it better
            except (LeaseLost, NotFound, Refused):  # the collection was deleted; the ledger is damaged
                self.lost = True
                return

    def _beat(self, insists: bool) -> None:
        if insists:
            self._ledger.insist(self._show_life)
        else:
            with self.write() as c:
                workers.beat(c, self._holder)

    def _show_life(self, c: Connection) -> None:
        self.hold(c)
        workers.beat(c, self._holder)

    def _look(self) -> None:
        with self._guard:
            job_id = self._job_id
        if job_id is None:
            return
        with self._ledger.read() as c:
            wish = jobs.get(c, job_id).desired_state
            errand = self._errands(c)
        self.wish = wish
        with self._guard:
            self.errand = errand and time.monotonic() >= self._next_errand


def boot_id() -> str:
    """This machine since its last boot: containers on it share the id, and the kernel's locks."""
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def _lock(folder: Path) -> int | None:
    """The folder's writer lock, kept by an open descriptor until its process ends; None: taken."""
    if not folder.is_dir():
        return None
    descriptor = os.open(folder / "writer.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    for _ in range(_LOCK_TRIES):  # an observer may hold it for the blink of an eye
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return descriptor
        except BlockingIOError:
            time.sleep(0.01)
    os.close(descriptor)
    return None


def _unlock(lock: int | None) -> None:
    if lock is not None:
        os.close(lock)
