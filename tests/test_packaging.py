"""The lock files, and the check that a cached llama.cpp fits this CPU."""

import importlib.util
import re
import tomllib
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parent.parent
LOCKS = ("requirements-build.lock", "requirements.lock", "requirements-dev.lock")


def _name(requirement: str) -> str:
    return re.split(r"[\[<>=!~; ]", requirement, maxsplit=1)[0].lower().replace("_", "-")


def _declared() -> dict[str, list[str]]:
    """Lock file -> the requirements that pyproject.toml asks it to cover."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    runtime = project["project"]["dependencies"]
    dev = runtime + project["project"]["optional-dependencies"]["dev"]
    return dict(zip(LOCKS, (project["dependency-groups"]["build"], runtime, dev), strict=True))


def _pins(lock: str) -> set[str]:
    return {
        line.split(" ;")[0].rstrip(" \\") for line in (ROOT / lock).read_text().splitlines() if "==" in line
    }


@pytest.mark.parametrize("lock", LOCKS)
def test_a_lock_pins_everything_pyproject_asks_for(lock: str) -> None:
    pinned = {_name(pin) for pin in _pins(lock)}
    assert {_name(wanted) for wanted in _declared()[lock]} - pinned == set()


@pytest.mark.parametrize("lock", LOCKS)
def test_every_line_of_a_lock_is_a_pin_a_hash_or_a_comment(lock: str) -> None:
    pin = r"[a-z0-9.-]+==[\w.+!]+( ; [\w'<>=!. ]+)?( \\)?"
    line = re.compile(rf"{pin}|    --hash=sha256:[0-9a-f]{{64}}( \\)?|\s*#[^/]*")
    odd = [text for text in (ROOT / lock).read_text().splitlines() if not line.fullmatch(text)]
    assert odd == []


@pytest.mark.parametrize("lock", LOCKS)
def test_every_pin_of_a_lock_has_a_hash(lock: str) -> None:
    text = (ROOT / lock).read_text()
    assert len(re.findall(r"== ?\S+.*\\\n    --hash=", text)) == len(re.findall("^[a-z].*==", text, re.M)) > 0


def test_what_is_tested_is_what_is_shipped() -> None:
    assert _pins("requirements.lock") <= _pins("requirements-dev.lock")


@pytest.fixture
def check_cpu() -> ModuleType:
    spec = importlib.util.spec_from_file_location("check_cpu", ROOT / "deploy" / "check_cpu.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


COMPILED_FOR = (
    "CPU : SSE3 = 1 | AVX2 = 1 | FMA = 0 | AVX512 = 1 | AVX512_BF16 = 1 | LLAMAFILE = 1 | OPENMP = 1 | "
)


@pytest.mark.parametrize(
    ("flags", "missing"),
    [
        ("fpu avx2 avx512f avx512_bf16", []),
        ("fpu avx2 avx512f", ["AVX512_BF16"]),
        ("fpu avx2", ["AVX512", "AVX512_BF16"]),
    ],
)
def test_a_wheel_compiled_for_more_than_this_cpu_is_noticed(
    check_cpu: ModuleType, flags: str, missing: list[str]
) -> None:
    cpuinfo = f"processor\t: 0\nflags\t\t: {flags}\nbugs\t\t: none\n"
    assert check_cpu.lacking(COMPILED_FOR, cpuinfo) == missing
