"""Evaluation of the rules on a captured graph, without Pulumi's engine."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from infra.graph import Graph, Resource
from policy.config import Config
from policy.rule import PROVIDER, Rule, Subject, failure_text
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
    """Return all violations, ordered by rule. A rule that fails is a violation of its own.

    As in the engine, rules for single resources read inputs, and rules for a whole stack read the state.
    """
    by_inputs, by_state = inputs_of(graph), state_of(graph)
    found: list[GraphViolation] = []
    for rule in rules:
        try:
            violations_of_rule = list(rule.violations(by_state if rule.check_stack else by_inputs, config))
        except Exception as error:  # noqa: BLE001  one broken rule must not hide what the others find
            found.append(GraphViolation(rule=rule, resource=rule.name, text=failure_text(error)))
            continue
        found += [GraphViolation(rule=rule, resource=s.name, text=text) for s, text in violations_of_rule]
    return found


def inputs_of(graph: Graph) -> list[Subject]:
    """Return the inputs of the resources that rules check: AWS resources and AWS providers."""
    return [Subject(type=r.type, name=r.name, props=r.inputs, urn=r.urn) for r in _checked(graph)]


def state_of(graph: Graph) -> list[Subject]:
    """Return the state of the same resources: outputs connect them, such as a VPC's ID or a queue's URL."""
    return [Subject(type=r.type, name=r.name, props={**r.outputs, "id": r.id}, urn=r.urn) for r in _checked(graph)]


def _checked(graph: Graph) -> Iterator[Resource]:
    return (r for r in graph.resources if r.type.startswith("aws:") or r.type == PROVIDER)
