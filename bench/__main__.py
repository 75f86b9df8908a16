"""``python -m bench`` (``make bench``): everything in one run. Tables on the screen, JSON with ``--json FILE``."""

from __future__ import annotations

import argparse
import json
import platform as machine
import sys
import tempfile
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from bench import envelope, graph, handlers, swarm
from local import platform, stack


def main() -> int:
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the figures there ('-': standard output)")
    chosen = parser.parse_args()
    console = Console(stderr=True, highlight=False)
    found = measure(console)
    text = json.dumps(found, indent=2)
    if str(chosen.json) == "-":
        print(text)
    elif chosen.json:
        chosen.json.write_text(text + "\n")
    if str(chosen.json) != "-":
        show(found, Console(highlight=False))
    return 0


def measure(console: Console) -> dict[str, Any]:
    """All figures; ``console`` is told what is being measured."""

    def say(what: str) -> None:
        console.print(f"[dim]measuring[/] {what}")

    say("envelope")
    found: dict[str, Any] = {
        "machine": {"python": sys.version.split()[0], "system": machine.platform(), "processor": machine.machine()},
        "envelope": envelope.measure(),
    }
    say("graph")
    found["graph"] = graph.measure()
    with tempfile.TemporaryDirectory() as work, platform.running(Path(work) / "platform") as here:
        say("deployment")
        deployed = stack.deploy_stack(here)
        say("agent handler, beside the source document's")
        found["handlers"] = handlers.measure(here, deployed.outputs, Path(work))
        stack.warm_up(here, deployed)
        found["swarm"] = swarm.measure(here, deployed.outputs, say)
    return found


def show(found: dict[str, Any], console: Console) -> None:
    """Each target with what was measured, then the rest."""
    table = Table(title="Targets", title_justify="left", box=None)
    for name in ("what", "measured", "target", "met"):
        table.add_column(name, justify="left" if name == "what" else "right")
    for what, measured, target, met in _targets(found):
        table.add_row(what, measured, target, "[green]yes[/]" if met else "[red]no[/]")
    console.print(table)
    sessions = Table(title="\nSessions", title_justify="left", box=None)
    for name in ("tasks", "status", "makespan s", "tasks/s", "AWS calls a task", "model calls a task"):
        sessions.add_column(name, justify="right")
    for size, run in found["swarm"]["sessions"].items():
        sessions.add_row(
            size, run["status"], f"{run['makespan_s']:.1f}", f"{run['tasks_per_s']:.1f}",
            f"{run['calls_per_task']:.2f}", f"{run['model_calls_per_task']:.2f}",
        )  # fmt: skip
    console.print(sessions)
    calls = Table(title="\nAWS calls of the biggest session", title_justify="left", box=None)
    for name in ("operation", "calls", "a task"):
        calls.add_column(name, justify="left" if name == "operation" else "right")
    size, biggest = list(found["swarm"]["sessions"].items())[-1]
    for operation, count in biggest["calls"].items():
        calls.add_row(operation, str(count), f"{count / int(size):.3f}")
    console.print(calls)
    emulator, replay = found["swarm"]["emulator"], found["swarm"]["replay"]
    console.print(f"\nthe emulator alone (SNS → SQS → empty function): {emulator['tasks_per_s']:.0f} tasks/s")
    console.print(
        f"a plain loop of the same calls: {replay['tasks_per_s']:.0f} tasks/s, {replay['calls_per_s']:.0f} calls/s"
    )
    for name, run in found["graph"].items():
        console.print(
            f"graph of {name}: {run['resources']} resources in {run['run_s']:.2f} s"
            f" (+ {run['import_s']:.2f} s of imports; once more {run['again_s']:.2f} s)"
        )


def _targets(found: dict[str, Any]) -> list[tuple[str, str, str, bool]]:
    handlers_, swarm_ = found["handlers"], found["swarm"]
    rows = []
    for name, text in (
        ("init", "cold init"),
        ("first_answer", "cold init to first answer"),
        ("warm", "warm overhead, one message at a time"),
        ("warm_in_batches", "warm overhead a message, in batches of ten"),
    ):
        run = handlers_[name]
        figures = f"{run['ours_s'] * 1000:.1f} / {run['seed_s'] * 1000:.1f} ms = {run['ratio']:.2f}"
        rows.append((f"{text}, ours / source document's", figures, f"≤ {handlers_['target']}", run["met"]))
    for name, text in (("sign", "sign and encode"), ("verify", "parse and verify")):
        run = found["envelope"][name]
        figures = f"{run['envelope_us']:.1f} / {run['raw_us']:.1f} µs = {run['ratio']:.2f}"
        rows.append((f"{text}, rate beside raw Ed25519", figures, f"≥ {found['envelope']['target']}", run["met"]))
    calls = swarm_["calls_per_task"]
    rows.append(("AWS calls a task, most of the runs", f"{calls['most']:.2f}", f"≤ {calls['target']:g}", calls["met"]))
    asked = swarm_["model_calls_per_task"]
    rows.append(("model calls a task", ", ".join(f"{v:g}" for v in asked["values"]), "1", asked["met"]))
    for name, text, sign in (
        ("throughput", "throughput beside the plain loop", "≥"),
        ("scaling", "time a task, 1,000 beside 100 tasks", "≤"),
    ):
        run = swarm_[name]
        rows.append((text, f"{run['ratio']:.2f}", f"{sign} {run['target']:g}", run["met"]))
    rows.append(("no result lost", "", "", swarm_["nothing_lost"]["met"]))
    return rows


if __name__ == "__main__":
    sys.exit(main())
