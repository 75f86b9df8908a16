"""What a stack is made of: the components that it has, each with the sentence that its file begins with, as a table."""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from infra.graph.capture import Graph

INFRA = Path(__file__).resolve().parents[1]


def table(graphs: Mapping[str, Graph]) -> str:
    """One row a component, in Markdown: its file, what it is, and how many of AWS's resources it holds in each stack.

    A component that is a part of another is counted in both.
    """
    held = {stack: _held(graph) for stack, graph in graphs.items()}
    lines = [f"| component | what it is | {' | '.join(held)} |", f"| --- | --- |{' ---: |' * len(held)}"]
    for name, (file, sentence) in sorted(_described().items()):
        counts = (str(counted[name]) if counted[name] else "" for counted in held.values())
        lines.append(f"| [{name}](../infra/{file}) | {sentence} | {' | '.join(counts)} |")
    return "\n".join(lines)


def _held(graph: Graph) -> Counter[str]:
    """How many resources of AWS's lie below components, by the component's class."""
    by_urn = {resource.urn: resource for resource in graph.resources}
    counted: Counter[str] = Counter()
    for resource in graph.custom:
        above, parent = set(), by_urn.get(resource.parent)
        while parent:
            above.add(parent.type.rpartition(":")[2])
            parent = by_urn.get(parent.parent)
        counted.update(above)
    return counted


def _described() -> dict[str, tuple[str, str]]:
    """By class of a component: its file, and the first sentence there."""
    found: dict[str, tuple[str, str]] = {}
    for path in sorted(INFRA.glob("*/*.py")):
        module = ast.parse(path.read_text())
        sentence = (ast.get_docstring(module) or "").partition("\n")[0]
        for node in module.body:
            if isinstance(node, ast.ClassDef) and any(ast.unparse(base) == "ComponentResource" for base in node.bases):
                said = (ast.get_docstring(node) or "").partition("\n")[0] or sentence.removeprefix(f"{node.name}: ")
                found[node.name] = path.relative_to(INFRA).as_posix(), said.rstrip(".").replace("``", "`")
    return found
