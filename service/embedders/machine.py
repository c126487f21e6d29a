"""What this machine offers to an embedder."""

import math
import os
from pathlib import Path, PurePosixPath

_FAST_BF16 = {"avx512_bf16", "amx_bf16", "amx_tile"}


def choose_weights(cpuinfo: Path = Path("/proc/cpuinfo")) -> str:
    """ "bf16" where the CPU multiplies it in hardware, else "f16"."""
    for line in cpuinfo.read_text().splitlines():
        if line.startswith("flags"):
            return "bf16" if _FAST_BF16 & set(line.split()) else "f16"
    return "f16"


def usable_cores(own_cgroup: Path = Path("/proc/self/cgroup"), mount: Path = Path("/sys/fs/cgroup")) -> int:
    """Cores this process may keep busy: its affinity, within the CPU quota of its cgroup and those above."""
    quotas = [_quota(mount / folder / "cpu.max") for folder in _cgroups(own_cgroup)]
    return max(1, math.ceil(min([len(os.sched_getaffinity(0)), *quotas])))


def _cgroups(own_cgroup: Path) -> list[str]:
    """This process's cgroup (v2) and its ancestors, relative to the mount; where unknown, the mount."""
    lines = own_cgroup.read_text().splitlines() if own_cgroup.exists() else []
    own = next((line[3:] for line in lines if line.startswith("0::")), "/")
    path = PurePosixPath(own.lstrip("/"))
    return [str(folder) for folder in (path, *path.parents)]


def _quota(cpu_max: Path) -> float:
    """Cores that a cpu.max file allows; infinite for "max" and where there is no such file."""
    if not cpu_max.exists():
        return math.inf
    quota, period = cpu_max.read_text().split()
    return math.inf if quota == "max" else int(quota) / int(period)
