"""The rules as a CrossGuard pack, for the engine to ask during previews and updates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any

import pulumi.runtime
from pulumi_policy import (
    EnforcementLevel,
    Policy,
    PolicyComplianceFramework,
    PolicyConfigSchema,
    PolicyPack,
    ReportViolation,
    ResourceValidationArgs,
    ResourceValidationPolicy,
    Severity,
    StackValidationArgs,
    StackValidationPolicy,
)

from policy.config import PROFILES, SETTINGS, Config
from policy.rule import PROVIDER, Rule, Subject
from policy.rules import RULES

NAME = "infrafabric"
# What --policy-pack-config may say of a rule, beside its enforcementLevel; the rest is the stack's own settings.
_SCHEMA = {
    "profile": {"type": "string", "enum": list(PROFILES)},
    "environment": {"type": "string", "enum": ["dev", "prod"]},
    "residency": {"type": "string", "enum": ["anywhere", "eu"]},
    "regions": {"type": "array", "items": {"type": "string"}},
    "families": {"type": "array", "items": {"type": "string"}},
    "classes": {"type": "array", "items": {"type": "string"}},
    "leastLogDays": {"type": "integer", "minimum": 1},
}


def serve() -> None:
    """Answers the engine; does not return."""
    PolicyPack(NAME, policies(), enforcement_level=EnforcementLevel.MANDATORY)


def policies(rules: Sequence[Rule] = RULES) -> list[Policy]:
    """One policy of CrossGuard's for each rule."""
    return [_policy(rule) for rule in rules]


def config_of(given: Mapping[str, Any], environment: Mapping[str, str]) -> Config:
    """What the stack's settings say (the engine hands its configuration to the pack), then what the pack's do."""
    names = {"leastLogDays": "least_log_days"}
    known = {one.name for one in fields(Config)}
    more = {names.get(key, key): _frozen(value) for key, value in given.items() if names.get(key, key) in known}
    settings = environment.get(SETTINGS)
    if settings is None:
        return Config(**more)
    own = Config.of_text(settings)
    return Config(**{**{one.name: getattr(own, one.name) for one in fields(Config)}, **more})


def _frozen(value: Any) -> Any:
    if isinstance(value, float):
        return int(value)
    return value if isinstance(value, str | int) else tuple(value)


def _policy(rule: Rule) -> Policy:
    kind = StackValidationPolicy if rule.check_stack else ResourceValidationPolicy
    ask = _stack(rule) if rule.check_stack else _resource(rule)
    return kind(
        name=rule.name,
        description=rule.description,
        validate=ask,  # pyright: ignore[reportArgumentType]  each kind gets its own
        enforcement_level=EnforcementLevel.MANDATORY if rule.mandatory else EnforcementLevel.ADVISORY,
        config_schema=PolicyConfigSchema(properties=dict(_SCHEMA)),
        severity=Severity(rule.severity),
        framework=PolicyComplianceFramework(
            name=", ".join(rule.controls), specification="; ".join(", ".join(ids) for ids in rule.controls.values())
        ),
        remediation_steps=rule.remediation,
    )


def _looked_at(type_: str) -> bool:
    return type_.startswith("aws:") or type_ == PROVIDER


def _resource(rule: Rule) -> Any:
    def validate(args: ResourceValidationArgs, report: ReportViolation) -> None:
        it = Subject(type=args.resource_type, name=args.name, props=args.props, urn=args.urn)
        if not _looked_at(it.type) or (rule.types and it.type not in rule.types):
            return  # before the settings are read: every rule is asked of every resource
        for text in rule.texts(it, config_of(args.get_config(), pulumi.runtime.get_config_env())):
            report(f"{it.name} {text}. {rule.remediation}", it.urn)

    return validate


def _stack(rule: Rule) -> Any:
    def validate(args: StackValidationArgs, report: ReportViolation) -> None:
        subjects = [
            Subject(type=it.resource_type, name=it.name, props=it.props, urn=it.urn)
            for it in args.resources
            if _looked_at(it.resource_type)
        ]
        config = config_of(args.get_config(), pulumi.runtime.get_config_env())
        try:
            for it, text in rule.over(subjects, config):
                report(f"{it.name} {text}. {rule.remediation}", it.urn)
        except KeyError as missing:  # an output, of which a provider need not say in a preview that it will be there
            if not pulumi.runtime.is_dry_run():
                raise
            args.not_applicable(f"{missing.args[0]} is not known before the update")

    return validate
