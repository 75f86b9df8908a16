"""Diagram of a stack in Mermaid: outermost components, and the dependencies between them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from infra.graph.capture import Graph, Resource

COMMON_SHARE = 0.35  # a component that more than this share of components depends on is left out of the arrows
KINDS_PER_BOX = 3  # resource kinds named per box; the other kinds are counted


def mermaid(graph: Graph) -> str:
    """Return a flowchart; an arrow points from a component to a component that depends on it.

    Arrows from components that most other components depend on are left out.
    """
    owners = owners_of(graph)
    kinds_by_owner: dict[str, Counter[str]] = {}
    for resource in graph.custom:
        kinds_by_owner.setdefault(owners[resource.urn], Counter())[_kind(resource)] += 1
    edges = sorted(_edges(graph, owners))
    lines = ["flowchart LR"]
    lines += [f'  {name}["{_box(name, kinds)}"]' for name, kinds in sorted(kinds_by_owner.items())]
    lines += [f"  {source} --> {target}" for source, target in edges]
    return "\n".join(lines)


def owners_of(graph: Graph) -> dict[str, str]:
    """Return the name of each resource's outermost component, by URN."""
    by_urn = {resource.urn: resource for resource in graph.resources}
    return {resource.urn: _outermost(resource, by_urn).name for resource in graph.resources}


def _outermost(resource: Resource, by_urn: Mapping[str, Resource]) -> Resource:
    while resource.parent in by_urn:
        resource = by_urn[resource.parent]
    return resource


def _edges(graph: Graph, owners: Mapping[str, str]) -> set[tuple[str, str]]:
    edges = {
        (owners[urn], owners[resource.urn])
        for resource in graph.custom
        for urn in {*resource.depends_on, *(u for urns in resource.by_property.values() for u in urns)}
        if urn in owners and owners[urn] != owners[resource.urn]
    }
    used_by = Counter(source for source, _ in edges)
    owners_in_use = {owners[resource.urn] for resource in graph.custom}
    common = {name for name, count in used_by.items() if count > COMMON_SHARE * len(owners_in_use)}
    return {(source, target) for source, target in edges if source not in common}


def _box(name: str, kinds: Counter[str]) -> str:
    listed = [f"{count} × {kind}" if count > 1 else kind for kind, count in kinds.most_common(KINDS_PER_BOX)]
    rest = sum(kinds.values()) - sum(count for _, count in kinds.most_common(KINDS_PER_BOX))
    return "<br/>".join([f"<b>{name}</b>", *listed, *([f"and {rest} more"] if rest else [])])


def _kind(resource: Resource) -> str:
    return f"{resource.service} {resource.type.rpartition(':')[2]}"
