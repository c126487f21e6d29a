"""All benchmarks in turn: `python -m tests.bench [--quick]`. They print, and never fail for being slow."""

import argparse
import importlib.util
import subprocess
import sys

_NAMES = (
    "bench_pool",
    "end_to_end",
    "against_langchain",
    "checkpoint_cost",
    "unchanged_rerun",
    "memory",
    "polling",
    "million",
    "approximate",
)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="short forms that prove little")
    parser.add_argument("--baseline-python", default=sys.executable, help="an interpreter that has LangChain")
    given = parser.parse_args()
    return max(_run(name, given) for name in _NAMES)


def _run(name: str, given: argparse.Namespace) -> int:
    """Each in a process of its own: what one leaves in memory is not the next one's."""
    print(f"\n== {name}", flush=True)
    options = ["--quick"] * given.quick
    if name == "bench_pool":
        options = ["1"] * given.quick
    elif name == "against_langchain":
        if given.baseline_python == sys.executable and not importlib.util.find_spec("langchain_community"):
            print("left out: this interpreter has no langchain_community (the extra `bench`)")
            return 0
        options += ["--baseline-python", given.baseline_python]
    return subprocess.run([sys.executable, "-m", f"tests.bench.{name}", *options]).returncode


if __name__ == "__main__":
    sys.exit(main())
