"""Chaos: sessions on the local platform under faults, and the invariants that hold nevertheless.

``make chaos`` runs sessions with new seeds for five minutes. A failed session is repeated with its seed:
``python -m tests.chaos --seed 7 --sessions 1``.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
import time
from pathlib import Path

from infra.settings import stackfile
from local import platform as local_platform
from local import processes, stack
from tests.chaos import table
from tests.chaos.plan import plan
from tests.chaos.run import ChaosRun
from tests.e2e.conftest import CLIENTS, Stage

SETTINGS = {"fleet.heartbeatS": 1, "fleet.heartbeatTimeoutS": 10, "fleet.breakerS": 3, "api.clients": CLIENTS}


def main() -> int:
    """Run sessions until the time is over. Returns 0 if all invariants hold, else 1."""
    args = _arguments()
    first = args.seed if args.seed is not None else random.SystemRandom().randrange(1_000_000)
    print(f"first seed {first}, {args.tasks} tasks per session", flush=True)
    with tempfile.TemporaryDirectory() as home, local_platform.running(Path(home), progress=_say) as platform:
        deployed = stack.deploy_stack(platform, overrides=SETTINGS, folder=stackfile.REFERENCE)
        stack.warm_up(platform, deployed)
        run = ChaosRun(Stage(platform, deployed.outputs))
        seeds = _sessions(run, args, first)
        found = table.figures(run.evidence(), seeds)
    print(f"\n{table.text(found)}")
    if args.json:
        args.json.write_text(json.dumps(found, indent=2))
    return 1 if found["violations"] else 0


def _sessions(run: ChaosRun, args: argparse.Namespace, first: int) -> dict[str, int]:
    """Run sessions with the seeds from ``first`` on. Returns the seeds by session id."""
    seeds: dict[str, int] = {}
    ends = time.monotonic() + args.minutes * 60
    while len(seeds) < args.sessions and (not seeds or time.monotonic() < ends):
        chaos_plan = plan(first + len(seeds), args.tasks, kill_runner=args.kill_runner)
        seeds[chaos_plan.session_id] = chaos_plan.seed
        session = run.session(chaos_plan)
        _say(f"seed {chaos_plan.seed}: {session['status']} {session.get('reason', '')}")
    return seeds


def _say(text: str) -> None:
    print(f"  {text}", flush=True)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tests.chaos",
        description="Run sessions on the local platform under faults, and check the invariants.",
    )
    parser.add_argument("--seed", type=int, help="of the first session; the others have the numbers after it")
    parser.add_argument("--tasks", type=int, default=10, help="tasks per session (default 10)")
    parser.add_argument("--minutes", type=float, default=5.0, help="no session starts later (default 5)")
    parser.add_argument("--sessions", type=int, default=1_000_000, help="sessions at most")
    parser.add_argument("--kill-runner", action="store_true", help="lose all executions; six minutes per session")
    parser.add_argument("--json", type=Path, help="file for all figures")
    args = parser.parse_args()
    if not 1 <= args.tasks <= 1000:
        parser.error(f"--tasks {args.tasks}: allowed are 1 to 1000")
    return args


if __name__ == "__main__":
    try:
        sys.exit(main())
    except processes.ProcessFailedError as error:
        sys.exit(f"chaos: {error}")
