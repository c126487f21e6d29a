"""Child processes that die with their parent, and length-prefixed messages over their pipes.

A message is a JSON header and a binary body; nothing is ever unpickled.
"""

import ctypes
import json
import os
import resource
import select
import signal
import struct
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

_LENGTHS = struct.Struct("<II")
_PR_SET_PDEATHSIG = 1

CHILD_GOES = 900  # a child is replaced in a second, and its document is known
WORKER_GOES = 450  # a worker is replaced by its supervisor; who serves the API goes last


class PipeClosed(EOFError):
    """The other end is gone."""


@dataclass
class Child:
    """A spawned child and the two ends of its pipes."""

    process: subprocess.Popen[bytes]

    def send(self, header: Mapping[str, Any], body: bytes = b"") -> None:
        """Write one message; raises PipeClosed when the child is gone."""
        assert self.process.stdin is not None
        write_message(self.process.stdin, header, body)

    def receive(self) -> tuple[dict[str, Any], bytes]:
        """Block for one message; raises PipeClosed when the child is gone."""
        assert self.process.stdout is not None
        return read_message(self.process.stdout)

    def answers_within(self, seconds: float) -> bool:
        """Whether a message, or the child's end, can be read now or comes within some seconds."""
        assert self.process.stdout is not None
        return bool(select.select([self.process.stdout], [], [], seconds)[0])

    def kill(self) -> None:
        """End the child at once. Safe to call from another thread than the one that reads."""
        self.process.kill()

    def reap(self) -> int:
        """Kill if need be, close the pipes and return the exit status (negative: the signal's number)."""
        self.process.kill()
        status = self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                with suppress(OSError):  # unsent bytes for a child that is gone
                    pipe.close()
        return status


def spawn(module: str, arguments: Sequence[str] = ()) -> Child:
    """Start `python -m module` with pipes on its stdin and stdout; stderr is inherited.

    PR_SET_PDEATHSIG follows the *thread* that starts the child: keep that thread alive as long as the child.
    """
    command = [sys.executable, "-m", module, *arguments, str(os.getpid())]
    return Child(subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE))


def settle_in(nice: int, memory_bytes: int = 0) -> tuple[list[str], IO[bytes], IO[bytes]]:
    """First call in a child: die with the parent, be nice, limit memory; returns (arguments, input, output).

    Output is a private copy of stdout, and stdout itself becomes stderr: a library that prints cannot
    damage the protocol.
    """
    *arguments, parent = sys.argv[1:]
    die_with_parent(int(parent), signal.SIGKILL)
    go_first(CHILD_GOES)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to answer
    os.nice(nice)
    if memory_bytes:
        resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))
    incoming = os.fdopen(os.dup(0), "rb")
    outgoing = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    return arguments, incoming, outgoing


def die_with_parent(parent: int, by: signal.Signals) -> None:
    """Ask the kernel for a signal when the parent ends, and check that it had not ended before."""
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, int(by), 0, 0, 0)
    if os.getppid() != parent:
        sys.exit(0)


def go_first(score: int) -> None:
    """Where memory runs out, the kernel is to end this process before those with a lower score (0 to 1000)."""
    with suppress(OSError):  # a kernel that does not let us choose chooses as it did before
        Path("/proc/self/oom_score_adj").write_text(str(score))


def write_message(pipe: IO[bytes], header: Mapping[str, Any], body: bytes = b"") -> None:
    """Write one message and flush; raises PipeClosed when nobody reads."""
    head = json.dumps(header, separators=(",", ":")).encode()
    try:
        pipe.write(_LENGTHS.pack(len(head), len(body)))
        pipe.write(head)
        pipe.write(body)
        pipe.flush()
    except (BrokenPipeError, ValueError) as error:
        raise PipeClosed from error


def read_message(pipe: IO[bytes]) -> tuple[dict[str, Any], bytes]:
    """Read one message; raises PipeClosed at the end of the pipe, also in the middle of a message."""
    head_length, body_length = _LENGTHS.unpack(_exactly(pipe, _LENGTHS.size))
    header: dict[str, Any] = json.loads(_exactly(pipe, head_length))
    return header, _exactly(pipe, body_length)


def _exactly(pipe: IO[bytes], count: int) -> bytes:
    data = pipe.read(count) if count else b""
    if len(data) != count:
        raise PipeClosed
    return data
