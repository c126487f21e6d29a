"""Failpoints kill, freeze or record at the passing they name."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from service import failpoints
from service.index.files import replace, sync_folder, write_new

_WRITES = """
import sys
from pathlib import Path
from service import failpoints
from service.index.files import write_new
failpoints.arm(sys.argv[2])
for n in range(3):
    write_new(Path(sys.argv[1]), f"f{n}", b"x")
"""


@pytest.fixture
def disarmed() -> Iterator[None]:
    yield
    failpoints.arm("")


def _start(folder: Path, spec: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", _WRITES, str(folder), spec])


def test_a_process_dies_at_the_passing_that_is_named(tmp_path: Path) -> None:
    assert _start(tmp_path, "file.synced=kill@2").wait() == -signal.SIGKILL
    assert sorted(path.name for path in tmp_path.iterdir()) == ["f0", "f1"]


def test_a_process_freezes_there_and_goes_on_when_thawed(tmp_path: Path) -> None:
    child = _start(tmp_path, "file.absent=stop@3")
    _, status = os.waitpid(child.pid, os.WUNTRACED)
    assert os.WIFSTOPPED(status)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["f0", "f1"]
    child.send_signal(signal.SIGCONT)
    assert child.wait() == 0
    assert (tmp_path / "f2").exists()


@pytest.mark.usefixtures("disarmed")
def test_every_effect_of_the_writer_has_a_point_before_and_after(tmp_path: Path) -> None:
    failpoints.arm(f"record={tmp_path / 'passed'}")
    write_new(tmp_path, "a", b"x", "vectors")
    sync_folder(tmp_path)
    replace(tmp_path, "m", b"x")
    assert (tmp_path / "passed").read_text().split() == [
        *("vectors.absent", "vectors.created", "vectors.written", "vectors.synced"),
        *("folder.unsynced", "folder.synced"),
        *("manifest.absent", "manifest.created", "manifest.written", "manifest.synced", "manifest.replaced"),
        *("folder.unsynced", "folder.synced"),
    ]


@pytest.mark.usefixtures("disarmed")
def test_undeclared_points_are_errors_when_armed_only() -> None:
    failpoints.reach("no.such")
    with pytest.raises(ValueError, match="not declared"):
        failpoints.arm("no.such=kill@1")
    failpoints.arm("file.synced=kill@1")
    with pytest.raises(ValueError, match="not declared"):
        failpoints.reach("no.such")


def test_every_literal_point_in_the_service_is_declared() -> None:
    source = Path(failpoints.__file__).parent
    said = {p for path in source.rglob("*.py") for p in re.findall(r'\breach\("([^"]+)"\)', path.read_text())}
    assert said <= set(failpoints.POINTS)
    assert said
