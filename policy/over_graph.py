"""Evaluation of the rules on a captured graph, without Pulumi's engine."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from infra.graph import Graph, Resource
from policy.config import Config
from policy.rule import PROVIDER, Rule, Subject
from policy.rules import RULES


@dataclass(frozen=True, kw_only=True)
class GraphViolation:
    """Violation of a rule by a resource of a graph."""

    rule: Rule
    resource: str
    text: str

    def __hash__(self) -> int:
        return hash((self.rule.name, self.resource, self.text))


def violations(graph: Graph, config: Config, rules: Sequence[Rule] = RULES) -> list[GraphViolation]:
    """Return all violations, ordered by rule."""
    subjects = subjects_of(graph)
    return [
        GraphViolation(rule=rule, resource=subject.name, text=text)
        for rule in rules
        for subject, text in rule.violations(subjects, config)
    ]


def subjects_of(graph: Graph) -> list[Subject]:
    """Return the resources that rules check: AWS resources and AWS providers."""
    return [_subject(r) for r in graph.resources if r.type.startswith("aws:") or r.type == PROVIDER]


def _subject(resource: Resource) -> Subject:
    return Subject(
        type=resource.type,
        name=resource.name,
        # Checks of a whole stack connect resources by outputs such as a VPC's ID or a queue's URL.
        props={"id": resource.id, **resource.outputs, **resource.inputs},
        urn=resource.urn,
    )
