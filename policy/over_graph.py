"""The pack over a captured graph: the same rules, and no engine."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from infra.graph import Graph, Resource
from policy.config import Config
from policy.rule import PROVIDER, Rule, Subject
from policy.rules import RULES


@dataclass(frozen=True, kw_only=True)
class Broken:
    """A rule, and the resource that breaks it."""

    rule: Rule
    resource: str
    text: str

    def __hash__(self) -> int:
        return hash((self.rule.name, self.resource, self.text))


def violations(graph: Graph, config: Config, rules: Sequence[Rule] = RULES) -> list[Broken]:
    """Every violation, rule by rule."""
    subjects = subjects_of(graph)
    return [
        Broken(rule=rule, resource=it.name, text=text) for rule in rules for it, text in rule.over(subjects, config)
    ]


def subjects_of(graph: Graph) -> list[Subject]:
    """What the rules look at: all of AWS's, and the provider that it comes from."""
    looked_at = (one for one in graph.resources if one.type.startswith("aws:") or one.type == PROVIDER)
    return [_subject(resource) for resource in looked_at]


def _subject(resource: Resource) -> Subject:
    return Subject(
        type=resource.type,
        name=resource.name,
        # Identities, which only the answer knows, tie resources together: a VPC's id, a queue's URL.
        props={"id": resource.id, **resource.outputs, **resource.inputs},
        urn=resource.urn,
    )
