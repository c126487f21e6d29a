"""A document can harm its child, never the service and never another document."""

import errno
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any, Protocol

import pytest

from service.errors import DocumentFailed, SkipDocument, Stopped, TryAgain, Unavailable
from service.parsers import prepare as preparing
from service.parsers.sandbox import Retirement, Sandbox, SandboxSettings
from service.ports import FileRead, FileTask, Left, Piece
from tests.parsers import makers

COUNTER = "tests.parsers.counters:Harmful"
WORDS = "Words enough for a document."


def children(parent: int) -> list[int]:
    """Process ids, in no order."""
    while True:
        found = []
        try:
            for thread in Path(f"/proc/{parent}/task").iterdir():
                found += [int(child) for child in (thread / "children").read_text().split()]
        except (FileNotFoundError, ProcessLookupError):
            continue  # a thread of an earlier test has ended just now, and another one has its children
        return found


def wait_until(true: Callable[[], object], seconds: float = 10) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def alive(process: int) -> bool:
    """Zombies do not count."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


class Make(Protocol):
    """Makes sandboxes that the test need not close."""

    def __call__(self, *retirement: Retirement, **settings: Any) -> Sandbox: ...


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Make]:
    with ExitStack() as stack:

        def made(*retirement: Retirement, **settings: Any) -> Sandbox:
            sandbox = Sandbox(SandboxSettings(COUNTER, str(tmp_path), **settings), *retirement)
            stack.callback(sandbox.close)
            return sandbox

        yield made


@pytest.fixture
def sandbox(make: Make) -> Sandbox:
    return make(seconds=20)


def task(tmp_path: Path, content: str | bytes, name: str = "a.txt") -> FileTask:
    path = tmp_path / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return FileTask(path, {})


def prepare(sandbox: Sandbox, one: FileTask) -> list[Piece | Left | FileRead]:
    return list(sandbox.prepare(one))


def failure(sandbox: Sandbox, one: FileTask) -> DocumentFailed:
    with pytest.raises(DocumentFailed) as failed:
        prepare(sandbox, one)
    return failed.value


def test_no_child_runs_before_it_is_needed_and_one_serves_many_documents(
    sandbox: Sandbox, tmp_path: Path
) -> None:
    before = set(children(os.getpid()))
    served = []
    for i in range(3):
        assert len(prepare(sandbox, task(tmp_path, f"{i}: {WORDS}"))) == 2
        served.append(set(children(os.getpid())) - before)
    assert len(served[0]) == 1
    assert served[0] == served[1] == served[2]


def test_a_child_retires_after_its_documents_or_when_it_has_grown(make: Make, tmp_path: Path) -> None:
    for retirement in (Retirement(documents=1), Retirement(resident_bytes=1)):
        before = children(os.getpid())
        prepare(make(retirement), task(tmp_path, WORDS))
        assert children(os.getpid()) == before


def test_a_child_killed_from_outside_costs_nothing(sandbox: Sandbox, tmp_path: Path) -> None:
    before = set(children(os.getpid()))
    text = "\n\n".join(f"{i}. {WORDS * 12}" for i in range(1500))
    expected = prepare(sandbox, task(tmp_path, text))
    told = sandbox.prepare(task(tmp_path, text))
    got = [next(told), next(told)]
    (child,) = set(children(os.getpid())) - before
    os.kill(child, signal.SIGKILL)
    got += told
    assert [one for one in got if isinstance(one, Piece)] == [
        one for one in expected if isinstance(one, Piece)
    ]
    assert isinstance(got[-1], FileRead)
    assert child not in children(os.getpid())


@pytest.mark.parametrize("program", ["/bin/false", "/no/such/program"])
def test_children_that_cannot_start_are_no_document_s_fault(
    sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, program: str
) -> None:
    monkeypatch.setattr(sys, "executable", program)
    with pytest.raises(Unavailable, match="no child could be started"):
        prepare(sandbox, task(tmp_path, WORDS))
    monkeypatch.undo()
    assert isinstance(prepare(sandbox, task(tmp_path, WORDS))[-1], FileRead)


def test_a_file_that_reads_differently_after_a_childs_death_is_tried_again(
    sandbox: Sandbox, tmp_path: Path
) -> None:
    before = set(children(os.getpid()))
    text = "\n\n".join(f"{i}. {WORDS * 12}" for i in range(3000))
    told = sandbox.prepare(task(tmp_path, text))
    next(told)
    task(tmp_path, f"Something new. {text}")
    (child,) = set(children(os.getpid())) - before
    os.kill(child, signal.SIGKILL)
    with pytest.raises(TryAgain) as again:
        list(told)
    assert again.value.reason == "changed_while_read"


@pytest.mark.parametrize(
    ("plea", "reason"), [("DIE", "parser_died"), ("EAT", "out_of_memory"), ("HANG", "timed_out")]
)
def test_a_document_that_harms_its_child_fails_alone(
    make: Make, tmp_path: Path, plea: str, reason: str
) -> None:
    sandbox = make(seconds=0.5)
    failed = failure(sandbox, task(tmp_path, f"PLEASE {plea} of this document."))
    assert (failed.reason, len(failed.sha256)) == (reason, 64)
    assert len(prepare(sandbox, task(tmp_path, WORDS))) == 2


@pytest.mark.parametrize(
    ("name", "member", "data"),
    [
        ("bomb.docx", "word/document.xml", makers.word([WORDS])),
        ("bomb.xlsx", "xl/worksheets/sheet1.xml", makers.sheets({"s": [[WORDS]]})),
    ],
)
@pytest.mark.parametrize("megabytes", [150, 450])
def test_a_zip_bomb_fails_and_the_next_document_does_not(
    make: Make, tmp_path: Path, name: str, member: str, data: bytes, megabytes: int
) -> None:
    sandbox = make(memory_bytes=300_000_000)
    path = tmp_path / name
    path.write_bytes(makers.inflated(data, member, megabytes))
    assert path.stat().st_size < 20_000_000
    assert failure(sandbox, FileTask(path, {})).reason == "out_of_memory"
    assert len(prepare(sandbox, task(tmp_path, WORDS))) == 2


def test_stop_ends_a_pdf_of_400_pages_within_a_second(sandbox: Sandbox, tmp_path: Path) -> None:
    line = "the tide gauge was read at dawn and at dusk by the keeper of the light; " * 6
    large = task(tmp_path, makers.pdf([[line] * 54] * 400), "large.pdf")
    prepare(sandbox, task(tmp_path, makers.pdf([[line]]), "small.pdf"))  # the child is warm
    ended: list[BaseException] = []

    def run() -> None:
        try:
            prepare(sandbox, large)
        except Stopped as stopped:
            ended.append(stopped)

    thread = threading.Thread(target=run)
    thread.start()
    time.sleep(0.2)
    assert thread.is_alive()
    started = time.monotonic()
    sandbox.stop()
    thread.join(5)
    assert time.monotonic() - started < 1
    assert len(ended) == 1
    assert len(prepare(sandbox, task(tmp_path, WORDS))) == 2


def test_stop_reaches_a_call_that_has_no_child_yet(sandbox: Sandbox, tmp_path: Path) -> None:
    told = sandbox.prepare(task(tmp_path, WORDS))
    sandbox.stop()
    with pytest.raises(Stopped):
        list(told)


def test_an_abandoned_document_takes_its_child_with_it(sandbox: Sandbox, tmp_path: Path) -> None:
    before = children(os.getpid())
    told = sandbox.prepare(task(tmp_path, "\n\n".join(f"{i}. {WORDS * 12}" for i in range(3000))))
    next(told)
    told.close()  # type: ignore[attr-defined]
    assert children(os.getpid()) == before
    assert len(prepare(sandbox, task(tmp_path, WORDS))) == 2


def test_children_end_with_a_parent_that_is_killed(tmp_path: Path) -> None:
    """Also a child that is deep in work, and one started by a thread that has ended."""
    work = task(tmp_path, f"PLEASE WAIT here. {WORDS}")
    program = f"""
import threading
from pathlib import Path
from service.parsers import prepare as preparing
from service.parsers.sandbox import Sandbox, SandboxSettings
from service.ports import FileTask
sandbox = Sandbox(SandboxSettings({COUNTER!r}, {str(tmp_path)!r}))
list(sandbox.prepare(FileTask(Path({str(task(tmp_path, WORDS, "b.txt").path)!r}), {{}})))
list(sandbox.prepare(FileTask(Path({str(work.path)!r}), {{}})))
"""
    parent = subprocess.Popen([sys.executable, "-c", program])
    wait_until((tmp_path / "waiting").exists)
    (child,) = children(parent.pid)
    parent.kill()
    parent.wait()
    wait_until(lambda: not alive(child), 2)


def test_a_child_outlives_the_thread_that_first_needed_it(sandbox: Sandbox, tmp_path: Path) -> None:
    before = set(children(os.getpid()))
    thread = threading.Thread(target=prepare, args=(sandbox, task(tmp_path, WORDS)))
    thread.start()
    thread.join()
    time.sleep(0.1)
    (child,) = set(children(os.getpid())) - before
    assert alive(child)


def test_close_ends_every_child(sandbox: Sandbox, tmp_path: Path) -> None:
    before = children(os.getpid())
    prepare(sandbox, task(tmp_path, WORDS))
    sandbox.close()
    assert children(os.getpid()) == before


def test_a_file_that_changes_while_it_is_read_is_tried_again(
    sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = task(tmp_path, WORDS).path
    real = os.fstat

    def fstat(descriptor: int) -> os.stat_result:
        found = real(descriptor)
        with path.open("a") as file:
            file.write("!")
        return found

    monkeypatch.setattr(preparing.os, "fstat", fstat)
    with pytest.raises(TryAgain) as again:
        preparing._read(path, 1000)
    assert again.value.reason == "changed_while_read"


def test_a_pipe_does_not_make_the_sandbox_wait(sandbox: Sandbox, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(SkipDocument):
        prepare(sandbox, FileTask(tmp_path / "pipe", {}))


def test_a_file_beyond_the_limit_is_too_large(make: Make, tmp_path: Path) -> None:
    with pytest.raises(SkipDocument) as skipped:
        prepare(make(max_file_bytes=20), task(tmp_path, WORDS))
    assert skipped.value.reason == "too_large"


def test_a_child_for_plain_text_loads_no_heavy_library_and_stays_small(
    sandbox: Sandbox, tmp_path: Path
) -> None:
    before = set(children(os.getpid()))
    prepare(sandbox, task(tmp_path, WORDS))
    (child,) = set(children(os.getpid())) - before
    assert "lxml" not in Path(f"/proc/{child}/maps").read_text()
    status = Path(f"/proc/{child}/status").read_text()
    assert int(status.partition("VmRSS:")[2].split()[0]) < 40_000


def test_a_file_that_may_not_be_read_fails_at_once_and_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def forbidden(*_: object) -> int:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(preparing, "_without_waiting", forbidden)
    limits = preparing.Limits(64, 0, 1000)
    with pytest.raises(DocumentFailed, match="give this user the right") as failed:
        list(preparing.messages(tmp_path / "a.txt", {}, "", len, limits))
    assert failed.value.reason == "no_permission"


def test_a_word_that_the_model_does_not_know_counts_by_its_length(tmp_path: Path) -> None:
    """One token to the model, however long: pages of them would otherwise be one chunk."""
    sandbox = Sandbox(SandboxSettings("tests.parsers.counters:Knowing", str(tmp_path), max_tokens=64))
    with closing(sandbox):
        said = prepare(sandbox, task(tmp_path, "\u0e01" * 6_000))
    spans = [span for piece in said if isinstance(piece, Piece) for span in piece.spans]
    assert len(spans) > 5
    assert max(span.stop - span.start for span in spans) < 64 * 13
