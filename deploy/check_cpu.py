"""Exit 1 if the installed llama.cpp (a cached wheel, perhaps) uses instructions this CPU lacks."""

import platform
import sys
from pathlib import Path

import llama_cpp

# llama.cpp's name of a feature it was compiled for, the kernel's name of the same.
CPU_FLAGS = {
    "AVX": "avx",
    "AVX2": "avx2",
    "AVX_VNNI": "avx_vnni",
    "F16C": "f16c",
    "FMA": "fma",
    "BMI2": "bmi2",
    "AVX512": "avx512f",
    "AVX512_VBMI": "avx512vbmi",
    "AVX512_VNNI": "avx512_vnni",
    "AVX512_BF16": "avx512_bf16",
    "AMX_INT8": "amx_int8",
}


def lacking(compiled_for: str, cpuinfo: str) -> list[str]:
    """Features in llama.cpp's own summary (`AVX2 = 1 | ...`) whose flag the kernel does not list."""
    used = [part.split(" = 1")[0].split()[-1] for part in compiled_for.split("|") if " = 1" in part]
    lines = [line for line in cpuinfo.splitlines() if line.startswith("flags")]
    flags = set(lines[0].split()) if lines else set()
    return [name for name in used if name in CPU_FLAGS and CPU_FLAGS[name] not in flags]


def main() -> int:
    if platform.machine() != "x86_64":
        return 0
    missing = lacking(llama_cpp.llama_print_system_info().decode(), Path("/proc/cpuinfo").read_text())
    if missing:
        print(f"llama.cpp was compiled for a CPU with {', '.join(missing)}, which this one lacks")
    return 1 if missing else 0


if __name__ == "__main__":
    sys.exit(main())
