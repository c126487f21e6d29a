"""The child process of the sandbox: takes tasks, answers with messages, is killed without regret."""

import importlib
import json
import os
import signal
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from service.children import PipeClosed, read_message, settle_in, write_message
from service.core.chunk import CountTokens
from service.errors import DocumentFailed, SkipDocument, TryAgain
from service.parsers.parsed import OUT_OF_MEMORY_STATUS
from service.parsers.prepare import Limits, Message, messages

_NICE = 5
_CHARACTERS_PER_TOKEN = 12  # no ordinary text has as many
_LONGEST_DETAIL = 300  # characters
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


def main() -> None:
    settings = json.loads(sys.argv[1])
    _, incoming, outgoing = settle_in(_NICE, settings["memory_bytes"])
    warnings.simplefilter("ignore")  # what the libraries think of a file's style
    signal.signal(signal.SIGALRM, signal.SIG_DFL)  # the alarm ends the process, inside native code too
    count = _counter(settings["counter"], settings["model_path"], settings["prefix"])
    limits = Limits(settings["max_tokens"], settings["overlap_tokens"], settings["max_file_bytes"])
    try:
        write_message(outgoing, {"kind": "ready"})  # a child that ends before this is not a document's fault
        while True:
            task, _ = read_message(incoming)
            for header, text in _answers(task, count, limits, settings["seconds"]):
                write_message(outgoing, header, text.encode())
    except PipeClosed:
        return
    except MemoryError:
        os._exit(OUT_OF_MEMORY_STATUS)  # there may be no memory left to say it in words


def _counter(factory: str, model_path: str, prefix: str) -> CountTokens:
    """`factory` is "module:Class"; its instances count tokens. Chunks are embedded behind `prefix`.

    A word that the model does not know is one token to it, however long: some pages of such a script would be one.
    """
    module, _, name = factory.partition(":")
    counter = getattr(importlib.import_module(module), name)(Path(model_path))
    return lambda text: max(int(counter.count(prefix + text)), len(text) // _CHARACTERS_PER_TOKEN)


def _answers(task: dict[str, Any], count: CountTokens, limits: Limits, seconds: float) -> Iterator[Message]:
    """All messages about one file. The clock runs between messages, not while the parent handles one."""
    try:
        told = messages(Path(task["path"]), task["metadata"], task["known_sha256"], count, limits)
        while True:
            signal.setitimer(signal.ITIMER_REAL, seconds)
            message = next(told, None)
            signal.setitimer(signal.ITIMER_REAL, 0)
            if message is None:
                return
            message[0]["resident_bytes"] = _resident_bytes()
            yield message
    except SkipDocument as error:
        yield _ended("skip", error.reason, error.detail), ""
    except DocumentFailed as error:
        yield _ended("fail", error.reason, error.detail), ""
    except TryAgain as error:
        yield _ended("again", error.reason, error.detail), ""


def _ended(kind: str, reason: str, detail: str) -> dict[str, Any]:
    signal.setitimer(signal.ITIMER_REAL, 0)
    return {
        "kind": kind,
        "reason": reason,
        "detail": detail[:_LONGEST_DETAIL],
        "resident_bytes": _resident_bytes(),
    }


def _resident_bytes() -> int:
    with open("/proc/self/statm", "rb") as statm:
        return int(statm.read().split()[1]) * _PAGE_BYTES


if __name__ == "__main__":
    main()
