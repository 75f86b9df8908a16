"""Progress output of the commands: rich on a terminal, plain lines elsewhere, none with JSON output."""

from __future__ import annotations

import sys
import threading
from collections import Counter
from typing import Any, Protocol

from rich.console import Console
from rich.live import Live
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text
from rich.tree import Tree

from infrafabric.printable import one_line, printable
from local.deploy import Deployment, DeployStep

_BAR = 40  # characters of an agent's timeline


class View(Protocol):
    """Interface for progress output. The caller prints a JSON document itself."""

    def starting(self, name: str) -> None: ...
    def step(self, step: DeployStep) -> None: ...
    def deployed(self, deployment: Deployment) -> None: ...
    def session(self, session: dict[str, Any]) -> None: ...
    def ended(self, document: dict[str, Any]) -> None: ...
    def note(self, text: str) -> None: ...


def view_for(as_json: bool) -> View:
    """Return the view for standard output: none with JSON, rich on a terminal, else plain lines."""
    if as_json:
        return Quiet()
    return Rich() if sys.stdout.isatty() else Plain()


class Quiet:
    """View without output."""

    def starting(self, name: str) -> None: ...
    def step(self, step: DeployStep) -> None: ...
    def deployed(self, deployment: Deployment) -> None: ...
    def session(self, session: dict[str, Any]) -> None: ...
    def ended(self, document: dict[str, Any]) -> None: ...
    def note(self, text: str) -> None: ...


def _owner(step: DeployStep, by_urn: dict[str, DeployStep]) -> str:
    """Return the type name of a resource's outermost component, such as ``AgentFleet``; "stack" without a component."""
    kind = "stack"
    while step.parent in by_urn:
        step = by_urn[step.parent]
        kind = step.type.rpartition(":")[2]
    return kind


def short(token: str) -> str:
    """Return a short form of a type token: ``sqs.Queue`` for ``aws:sqs/queue:Queue``."""
    module, _, name = token.rpartition(":")
    return f"{module.split(':')[-1].split('/')[0]}.{name}"


def by_component(deployment: Deployment) -> dict[str, dict[str, Counter[str]]]:
    """Count the resources by component, outcome ("created" or "recorded") and short type."""
    counts: dict[str, dict[str, Counter[str]]] = {}
    by_urn = {step.urn: step for step in deployment.steps}
    for step in deployment.steps:
        if step.outcome != "component":
            kinds = counts.setdefault(_owner(step, by_urn), {"created": Counter(), "recorded": Counter()})
            kinds[step.outcome][short(step.type)] += 1
    return dict(sorted(counts.items()))


class Plain:
    """View that prints lines of text."""

    def __init__(self) -> None:
        self._last_line = ""

    def starting(self, name: str) -> None:
        print(f"starting: {name}", flush=True)

    def step(self, step: DeployStep) -> None: ...

    def deployed(self, deployment: Deployment) -> None:
        for component, kinds in by_component(deployment).items():
            print(f"created: {component}: {_counts_text(kinds['created'])}")
            if kinds["recorded"]:
                print(f"recorded only: {component}: {_counts_text(kinds['recorded'])}")
        created, recorded = (sum(deployment.count(outcome).values()) for outcome in ("created", "recorded"))
        print(f"resources: {created} created on the emulator, {recorded} recorded only", flush=True)

    def session(self, session: dict[str, Any]) -> None:
        line = _progress(session)
        if line != self._last_line:
            self._last_line = line
            print(line, flush=True)

    def ended(self, document: dict[str, Any]) -> None:
        _print_end(Console(width=140, highlight=False, no_color=True), document)

    def note(self, text: str) -> None:
        print(text, flush=True)


class Rich:
    """View for terminals: a growing tree of resources, a session's progress, and tables at the end."""

    def __init__(self) -> None:
        self._console = Console()
        self._live: Live | None = None
        self._lock = threading.Lock()
        self._deployment = Deployment()

    def starting(self, name: str) -> None:
        self._console.print(f"[dim]starting[/] {name}")

    def step(self, step: DeployStep) -> None:
        with self._lock:
            self._deployment.steps.append(step)
            self._show(_tree(self._deployment))

    def deployed(self, deployment: Deployment) -> None:
        self._show(_tree(deployment))
        self._stop_live()

    def session(self, session: dict[str, Any]) -> None:
        self._show(Spinner("dots", Text(_progress(session))))

    def ended(self, document: dict[str, Any]) -> None:
        self._stop_live()
        _print_end(self._console, document)

    def note(self, text: str) -> None:
        self._console.print(text)

    def _show(self, renderable: Any) -> None:
        if self._live is None:
            self._live = Live(console=self._console, refresh_per_second=10)
            self._live.start()
        self._live.update(renderable)

    def _stop_live(self) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None


def _counts_text(kinds: Counter[str]) -> str:
    return ", ".join(f"{count} {kind}" for kind, count in sorted(kinds.items())) or "nothing"


def _tree(deployment: Deployment) -> Tree:
    created, recorded = (sum(deployment.count(outcome).values()) for outcome in ("created", "recorded"))
    tree = Tree(f"[bold]stack[/]  {created} created on the emulator, {recorded} recorded only")
    for component, kinds in by_component(deployment).items():
        branch = tree.add(f"[cyan]{component}[/]  [dim]{_counts_text(kinds['created'])}[/]")
        if kinds["recorded"]:
            branch.add(f"[yellow]recorded only:[/] {_counts_text(kinds['recorded'])}")
    return tree


def _progress(session: dict[str, Any]) -> str:
    tasks = session["tasks"]
    counts = f"{tasks['done']} of {tasks['total']} tasks done, {tasks['failed']} failed"
    return f"session {session['session_id']}: {session['status']}, {counts}, {session['cost_usd']:.6f} USD"


def _print_end(console: Console, document: dict[str, Any]) -> None:
    console.print(_timeline(document["timeline"]))
    session, report = document["session"], document["report"]
    console.print(f"\n[bold]{session['status']}[/]  {session['reason']}".rstrip())
    console.print(f"cost    {session['cost_usd']:.6f} USD of {session['budget_usd']:g}, {document['tokens']:,} tokens")
    console.print(f"model   {report['model']}\n\n[bold]Report[/]")
    console.print(printable(report["summary"]), markup=False)
    for finding in report["findings"][:10]:
        text = one_line(f"{finding['confidence']:.2f}  {finding['agent']}  {finding['text']}")
        console.print(f"  {text}", markup=False)
    if len(report["findings"]) > 10:
        console.print(f"  and {len(report['findings']) - 10} more")
    console.print("\n[bold]Locations[/]")
    for name, location in document["places"].items():
        console.print(f"  {name:18} {location}", markup=False)


def _timeline(rows: list[dict[str, Any]]) -> Table:
    table = Table(title="Timeline", title_justify="left", box=None, pad_edge=False)
    for name in ("agent", "task", "status", "", "seconds", "tokens", "USD"):
        table.add_column(name, justify="right" if name in ("seconds", "tokens", "USD") else "left", no_wrap=True)
    first = min((row["started_ms"] for row in rows), default=0)
    span = max((row["ended_ms"] for row in rows), default=1) - first or 1
    for row in rows:
        before = (row["started_ms"] - first) * _BAR // span
        width = max(1, (row["ended_ms"] - row["started_ms"]) * _BAR // span)
        bar = f"{'·' * before}{'█' * width}".ljust(_BAR, "·")[:_BAR]
        seconds = f"{(row['ended_ms'] - row['started_ms']) / 1000:.2f}"
        table.add_row(
            row["agent"], row["task_id"], row["status"], bar, seconds, f"{row['tokens']}", f"{row['cost_usd']:.6f}"
        )
    return table
