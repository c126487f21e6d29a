"""`tidestone selftest` in a process of its own, here or in a copy of the code."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent.parent


def selftest(*arguments: str, code: Path = ROOT) -> "subprocess.CompletedProcess[str]":
    """Run the command with the code that lies in a folder."""
    environment = {**os.environ, "PYTHONPATH": str(code), "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, "-m", "service", "selftest", *arguments]
    return subprocess.run(command, cwd=code, env=environment, capture_output=True, text=True, check=False)


def report_of(done: "subprocess.CompletedProcess[str]") -> dict[str, Any]:
    """What it printed as JSON."""
    assert done.stdout, done.stderr
    report: dict[str, Any] = json.loads(done.stdout)
    return report
