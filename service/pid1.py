"""What is asked of process 1 of a container: pass signals on, and reap orphans."""

import os
import signal
from types import FrameType

_PASSED_ON = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2)


def leave_to_child() -> None:
    """Go on in a child if this is process 1, which stays behind and ends as the child ends.

    To be called before any thread is started.
    """
    if os.getpid() == 1:
        split()


def split() -> None:
    """Fork; returns in the child only."""
    child = os.fork()
    if child == 0:
        os.setpgid(0, 0)  # Ctrl-C reaches the parent alone, which passes it on: once, not twice
        return

    def pass_on(number: int, _: FrameType | None) -> None:
        os.kill(child, number)

    for number in _PASSED_ON:
        signal.signal(number, pass_on)
    status = 0
    ended = 0
    while ended != child:
        ended, status = os.wait()
    code = os.waitstatus_to_exitcode(status)
    os._exit(code if code >= 0 else 128 - code)
