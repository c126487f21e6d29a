"""What the pool's children cost, and that they never outlive their parent."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from service.embedders.gguf_facts import read_space
from service.embedders.pool import LlamaPool
from tests.model import default_model

_PARENT = """
import sys, time
from pathlib import Path
from service.embedders.gguf_facts import read_space
from service.embedders.pool import LlamaPool
model = Path(sys.argv[1])
pool = LlamaPool(model, read_space(model), children=2)
futures = [pool.submit("word " * 200) for _ in range(2000)]
futures[8].result()
print(*pool.pids(), flush=True)
time.sleep(60)
"""


@pytest.fixture(scope="module")
def busy() -> Iterator[LlamaPool]:
    """Two children that have had work."""
    with closing(LlamaPool(default_model(), read_space(default_model()), children=2)) as pool:
        for future in [pool.submit("word " * 250) for _ in range(12)]:
            future.result(60)
        yield pool


def test_each_child_takes_less_than_200_megabytes(busy: LlamaPool) -> None:
    assert len(busy.pids()) == 2
    for pid in busy.pids():
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
        (pss_kilobytes,) = (int(line.split()[1]) for line in lines if line.startswith("Pss:"))
        assert pss_kilobytes < 200_000


def test_children_are_nice(busy: LlamaPool) -> None:
    assert {os.getpriority(os.PRIO_PROCESS, pid) for pid in busy.pids()} == {10}


def test_a_pool_at_rest_uses_no_cpu(busy: LlamaPool) -> None:
    processes = [os.getpid(), *busy.pids()]
    before = [_wake_ups(pid) for pid in processes]
    time.sleep(0.5)
    assert sum(_wake_ups(pid) for pid in processes) - sum(before) < 10


def test_the_parent_never_loads_llama_cpp() -> None:
    check = (
        "import sys, service.embedders.pool, service.embedders.gguf_facts; print('llama_cpp' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


def test_children_vanish_with_a_parent_that_is_killed() -> None:
    command = [sys.executable, "-c", _PARENT, str(default_model())]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        pids = [int(pid) for pid in parent.stdout.readline().split()]
        assert len(pids) == 2
        parent.send_signal(signal.SIGKILL)
    end = time.monotonic() + 10
    while any(map(_runs, pids)) and time.monotonic() < end:
        time.sleep(0.02)
    assert not any(map(_runs, pids))


def _wake_ups(pid: int) -> int:
    statuses = [path.read_text() for path in Path(f"/proc/{pid}/task").glob("*/status")]
    return sum(int(text.split("\nvoluntary_ctxt_switches:")[1].split()[0]) for text in statuses)


def _runs(pid: int) -> bool:
    try:
        return "State:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
