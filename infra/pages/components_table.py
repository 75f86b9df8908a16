"""Table of the components in docs/architecture.md: file, description, and resource counts per stack."""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from infra.graph.capture import Graph

INFRA = Path(__file__).resolve().parents[1]


@dataclass(frozen=True, kw_only=True)
class Component:
    """Component class of ``infra``."""

    name: str
    token: str  # infrafabric:messaging:Queue
    file: str  # below infra/
    description: str  # first line of the class's docstring


def table(graphs: Mapping[str, Graph]) -> str:
    """Return a Markdown table with one row per component class.

    Columns: class with a link to its file, description, and per stack the number of AWS resources below the component.
    A resource of a nested component counts for every component above it.
    """
    counts_by_stack = {stack: _resource_counts(graph) for stack, graph in graphs.items()}
    lines = [
        f"| component | what it is | {' | '.join(counts_by_stack)} |",
        f"| --- | --- |{' ---: |' * len(counts_by_stack)}",
    ]
    for component in components():
        counts = (counts[component.token] for counts in counts_by_stack.values())
        cells = " | ".join(str(count or "") for count in counts)
        lines.append(f"| [{component.name}](../infra/{component.file}) | {component.description} | {cells} |")
    return "\n".join(lines)


def components() -> list[Component]:
    """Return every component class of ``infra``, by name."""
    found = []
    for path in sorted(INFRA.glob("*/*.py")):
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.ClassDef) and any(ast.unparse(base) == "ComponentResource" for base in node.bases):
                first_line = (ast.get_docstring(node) or "").partition("\n")[0]
                component = Component(
                    name=node.name,
                    token=_token(node),
                    file=path.relative_to(INFRA).as_posix(),
                    description=first_line.rstrip(".").replace("``", "`"),
                )
                found.append(component)
    return sorted(found, key=lambda component: component.name)


def _resource_counts(graph: Graph) -> Counter[str]:
    """Return the number of AWS resources below the components of each type token."""
    by_urn = {resource.urn: resource for resource in graph.resources}
    counts: Counter[str] = Counter()
    for resource in graph.custom:
        ancestors, parent = set(), by_urn.get(resource.parent)
        while parent:
            ancestors.add(parent.type)
            parent = by_urn.get(parent.parent)
        counts.update(ancestors)
    return counts


def _token(component: ast.ClassDef) -> str:
    """Return the type token that the component's constructor passes to ``ComponentResource``."""
    constants = (node.value for node in ast.walk(component) if isinstance(node, ast.Constant))
    return next(value for value in constants if isinstance(value, str) and value.startswith("infrafabric:"))
