"""All benchmarks in one run: ``python -m bench``, ``make bench``. Prints tables; ``--json FILE`` writes JSON."""

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

# The largest sessions of the benchmark cost more than a client may spend by default.
WITHOUT_CAPS = {"api.clients": {"default": {"maxBudgetUsd": 10_000, "dailyCapUsd": 1_000_000}}}


def main() -> int:
    """Run all benchmarks and print or write the figures. Return the exit status."""
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument(
        "--json", type=Path, metavar="FILE", help="also write the figures as JSON ('-': to standard output)"
    )
    args = parser.parse_args()
    console = Console(stderr=True, highlight=False)
    figures = measure(console)
    text = json.dumps(figures, indent=2)
    if str(args.json) == "-":
        print(text)
    elif args.json:
        args.json.write_text(text + "\n")
    if str(args.json) != "-":
        show(figures, Console(highlight=False))
    return 0


def measure(console: Console) -> dict[str, Any]:
    """Run all benchmarks and return the figures; print each benchmark's name to ``console``."""

    def progress(label: str) -> None:
        console.print(f"[dim]measuring[/] {label}")

    progress("envelope")
    figures: dict[str, Any] = {
        "machine": {"python": sys.version.split()[0], "system": machine.platform(), "processor": machine.machine()},
        "envelope": envelope.measure(),
    }
    progress("graph")
    figures["graph"] = graph.measure()
    with tempfile.TemporaryDirectory() as work, platform.running(Path(work) / "platform") as running:
        progress("deployment")
        deployed = stack.deploy_stack(running, overrides=WITHOUT_CAPS)
        progress("agent handler and reference handler")
        figures["handlers"] = handlers.measure(running, deployed.outputs, Path(work))
        stack.warm_up(running, deployed)
        figures["swarm"] = swarm.measure(running, deployed.outputs, progress)
    return figures


def show(figures: dict[str, Any], console: Console) -> None:
    """Print the targets with the measured figures, then the other figures."""
    table = Table(title="Targets", title_justify="left", box=None)
    for name in ("figure", "measured", "target", "met"):
        table.add_column(name, justify="left" if name == "figure" else "right")
    for label, measured, target, met in _targets(figures):
        table.add_row(label, measured, target, "[green]yes[/]" if met else "[red]no[/]")
    console.print(table)
    sessions = Table(title="\nSessions", title_justify="left", box=None)
    for name in ("tasks", "status", "makespan s", "tasks/s", "AWS calls per task", "model calls per task"):
        sessions.add_column(name, justify="right")
    for size, run in figures["swarm"]["sessions"].items():
        seconds = (f"{run['makespan_s']:.1f}", f"{run['tasks_per_s']:.1f}")
        calls_per_task = (f"{run['calls_per_task']:.2f}", f"{run['model_calls_per_task']:.2f}")
        sessions.add_row(size, run["status"], *seconds, *calls_per_task)
    console.print(sessions)
    calls = Table(title="\nAWS calls of the largest session", title_justify="left", box=None)
    for name in ("operation", "calls", "per task"):
        calls.add_column(name, justify="left" if name == "operation" else "right")
    size, largest = list(figures["swarm"]["sessions"].items())[-1]
    for operation, count in largest["calls"].items():
        calls.add_row(operation, str(count), f"{count / int(size):.3f}")
    console.print(calls)
    emulator, replay = figures["swarm"]["emulator"], figures["swarm"]["replay"]
    console.print(f"\nemulator without a swarm (SNS → SQS → empty function): {emulator['tasks_per_s']:.0f} tasks/s")
    console.print(
        f"sequential loop of the same calls: {replay['tasks_per_s']:.0f} tasks/s, {replay['calls_per_s']:.0f} calls/s"
    )
    for name, run in figures["graph"].items():
        console.print(
            f"graph of {name}: {run['resources']} resources in {run['run_s']:.2f} s"
            f" (imports {run['import_s']:.2f} s; second run {run['again_s']:.2f} s)"
        )


def _targets(figures: dict[str, Any]) -> list[tuple[str, str, str, bool]]:
    handlers_, swarm_ = figures["handlers"], figures["swarm"]
    rows = []
    for name, text in (
        ("init", "cold init"),
        ("first_answer", "cold init to first result"),
        ("warm", "warm overhead per message, one per batch"),
        ("warm_in_batches", "warm overhead per message, ten per batch"),
    ):
        run = handlers_[name]
        ratio = f"{run['ours_s'] * 1000:.1f} / {run['seed_s'] * 1000:.1f} ms = {run['ratio']:.2f}"
        rows.append((f"{text} (agent / reference)", ratio, f"≤ {handlers_['target']}", run["met"]))
    for name, text in (("sign", "sign and encode"), ("verify", "parse and verify")):
        run = figures["envelope"][name]
        ratio = f"{run['envelope_us']:.1f} / {run['raw_us']:.1f} µs = {run['ratio']:.2f}"
        rows.append((f"{text}, rate (envelope / raw Ed25519)", ratio, f"≥ {figures['envelope']['target']}", run["met"]))
    calls = swarm_["calls_per_task"]
    values, targets = (", ".join(f"{value:.3g}" for value in calls[name]) for name in ("values", "targets"))
    rows.append(("AWS calls per task (10, 100, 1,000 tasks)", values, f"≤ {targets}", calls["met"]))
    model_calls = swarm_["model_calls_per_task"]
    values = ", ".join(f"{value:g}" for value in model_calls["values"])
    rows.append(("model calls per task", values, "1", model_calls["met"]))
    for name, text, sign in (
        ("throughput", "throughput (session / sequential loop)", "≥"),
        ("scaling", "time per task (1,000 / 100 tasks)", "≤"),
    ):
        run = swarm_[name]
        rows.append((text, f"{run['ratio']:.2f}", f"{sign} {run['target']:g}", run["met"]))
    rows.append(("no result lost", "", "", swarm_["nothing_lost"]["met"]))
    return rows


if __name__ == "__main__":
    sys.exit(main())
