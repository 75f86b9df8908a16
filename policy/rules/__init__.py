"""All rules of the policy pack, grouped by subject."""

from __future__ import annotations

from policy.rule import Rule
from policy.rules import cost, encryption, exposure, iam, logs, residency, resilience, tags, transport

SUBJECTS = {
    "encryption": encryption.RULES,
    "exposure": exposure.RULES,
    "transport": transport.RULES,
    "iam": iam.RULES,
    "tags": tags.RULES,
    "resilience": resilience.RULES,
    "logs": logs.RULES,
    "cost": cost.RULES,
    "residency": residency.RULES,
}
RULES: tuple[Rule, ...] = tuple(rule for rules in SUBJECTS.values() for rule in rules)
