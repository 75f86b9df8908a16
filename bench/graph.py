"""Run time of a stack's program under mocks: the program's share of a preview, without the engine."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

_PROGRAM = """
import sys, time
start = time.perf_counter()
from infra import program
from infra.graph import capture
imported = time.perf_counter()
graph = capture(sys.argv[1])
ran = time.perf_counter()
capture(sys.argv[1])
print(imported - start, ran - imported, time.perf_counter() - ran, len(list(graph.custom)))
"""
_ROOT = Path(__file__).resolve().parent.parent


def measure() -> dict[str, Any]:
    """Count the resources of each stack, and measure import, first and second run in a new process, in seconds.

    The first run also imports the SDK's modules for the services of the stack; the second run does not.
    """
    figures = {}
    for stack in ("dev", "prod"):
        result = subprocess.run(
            [sys.executable, "-c", _PROGRAM, stack], capture_output=True, text=True, check=False, cwd=_ROOT
        )
        if result.returncode:
            raise RuntimeError(f"the program of stack {stack} failed: {result.stderr.strip()[-1500:]}")
        imported, run, again, resources = result.stdout.split()
        figures[stack] = {
            "import_s": float(imported),
            "run_s": float(run),
            "again_s": float(again),
            "resources": int(resources),
        }
    return figures
