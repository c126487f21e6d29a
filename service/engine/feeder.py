"""Prepare items ahead of their use, in threads that wait for sandboxed children."""

from collections import deque
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass
from queue import Empty, Queue
from threading import Condition, Event

from service.errors import Stopped, TidestoneError
from service.ports import FileRead, FileTask, Left, Piece, Preparer

MOST_AHEAD_BYTES = 16 << 20  # of text that waits to be embedded


@dataclass(frozen=True, slots=True)
class Said:
    """One thing that was said of an item; an error or FileRead is the last."""

    item_id: int
    stream: int  # which attempt at the item it belongs to
    what: Piece | Left | FileRead | TidestoneError


class Feeder:
    """Hands out what the preparer says of the started items, in order of arrival."""

    def __init__(self, preparer: Preparer, threads: int, wake: Event) -> None:
        self._preparer, self._wake = preparer, wake
        self._tasks: Queue[tuple[int, int, FileTask] | None] = Queue()
        self._streams = 0
        self._said: deque[Said] = deque()
        self._bytes = 0
        self._room = Condition()
        self._stopping = False
        self._pool = ThreadPoolExecutor(threads, "prepare")
        self._threads = [self._pool.submit(self._work) for _ in range(threads)]

    def start(self, item_id: int, task: FileTask) -> int:
        """Queue one item; returns the number that all which is said of it now will bear."""
        self._streams += 1
        self._tasks.put((item_id, self._streams, task))
        return self._streams

    def take(self) -> Said | None:
        """The next thing said, or None for now. Raises what ended a thread that should not have ended."""
        for thread in self._threads:
            if thread.done():
                thread.result()
        with self._room:
            if not self._said:
                return None
            said = self._said.popleft()
            self._bytes -= _size(said)
            self._room.notify_all()
            return said

    def stop(self) -> None:
        """Kill what is running, forget what was said, end the threads: within about a second."""
        with self._room:
            self._stopping = True
            self._room.notify_all()
        self._drain()
        for _ in self._threads:
            self._tasks.put(None)
        while wait(self._threads, timeout=0.05).not_done:
            self._preparer.stop()  # again and again: a thread may just have begun another item
        self._pool.shutdown()

    def _drain(self) -> None:
        try:
            while True:
                self._tasks.get_nowait()
        except Empty:
            pass

    def _work(self) -> None:
        while (task := self._tasks.get()) is not None and not self._stopping:
            self._prepare(*task)

    def _prepare(self, item_id: int, stream: int, task: FileTask) -> None:
        try:
            for what in self._preparer.prepare(task):
                if not self._say(Said(item_id, stream, what)):
                    return
        except Stopped:
            return
        except TidestoneError as error:
            self._say(Said(item_id, stream, error))

    def _say(self, said: Said) -> bool:
        """Hand over, waiting for room; False when the feeder stops."""
        with self._room:
            while self._bytes > MOST_AHEAD_BYTES and not self._stopping:
                self._room.wait()
            if self._stopping:
                return False
            self._said.append(said)
            self._bytes += _size(said)
        self._wake.set()
        return True


def _size(said: Said) -> int:
    return len(said.what.text) + 200 if isinstance(said.what, Piece) else 200
