"""The whole graph of a stack under mocks: how long a preview's program takes, without any engine."""

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
    """Resources declared by each stack, and seconds in a fresh process: to import, to run, to run once more. The first
    run loads the SDK's modules of the services that the stack uses; the second shows what is ours."""
    found = {}
    for stack in ("dev", "prod"):
        done = subprocess.run(
            [sys.executable, "-c", _PROGRAM, stack], capture_output=True, text=True, check=False, cwd=_ROOT
        )
        if done.returncode:
            raise RuntimeError(f"the {stack} graph cannot be measured: {done.stderr.strip()[-1500:]}")
        imported, run, again, made = done.stdout.split()
        found[stack] = {
            "import_s": float(imported),
            "run_s": float(run),
            "again_s": float(again),
            "resources": int(made),
        }
    return found
