"""Cores and number types are read from where Linux says them."""

import os
from pathlib import Path

import pytest

from service.embedders.machine import choose_weights, usable_cores


@pytest.fixture
def cgroups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cgroup tree on a machine with 8 cores; this process is in /a/b."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)))
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "self").write_text("4:memory:/else\n0::/a/b\n")
    return tmp_path


@pytest.mark.parametrize(
    ("folder", "cpu_max", "cores"),
    [
        ("a/b", "200000 100000", 2),
        ("a", "300000 100000", 3),
        (".", "150000 100000", 2),
        ("a/b", "10000 100000", 1),
        ("a/b", "max 100000", 8),
        ("a/b", "9900000 100000", 8),
    ],
)
def test_the_smallest_quota_on_the_way_up_counts(
    cgroups: Path, folder: str, cpu_max: str, cores: int
) -> None:
    (cgroups / folder / "cpu.max").write_text(cpu_max)
    assert usable_cores(cgroups / "self", cgroups) == cores


def test_without_cgroups_the_affinity_counts(cgroups: Path) -> None:
    assert usable_cores(cgroups / "nowhere", cgroups / "none") == 8


@pytest.mark.parametrize(
    ("cpuinfo", "weights"),
    [
        ("flags\t\t: fpu avx512f avx512_bf16", "bf16"),
        ("flags\t\t: fpu amx_tile", "bf16"),
        ("flags\t\t: fpu avx512f", "f16"),
        ("Features\t: fp asimd", "f16"),
    ],
)
def test_bf16_is_chosen_where_the_cpu_multiplies_it(tmp_path: Path, cpuinfo: str, weights: str) -> None:
    (tmp_path / "cpuinfo").write_text(f"processor\t: 0\n{cpuinfo}\nprocessor\t: 1\n")
    assert choose_weights(tmp_path / "cpuinfo") == weights
