"""The rules as a CrossGuard policy pack for Pulumi's engine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
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
from pulumi_policy.proxy import UnknownValueError

from policy.config import PROFILES, SETTINGS, Config
from policy.rule import PROVIDER, Rule, Subject, failure_text
from policy.rules import RULES

NAME = "infrafabric"
# Keys per rule in the file of --policy-pack-config, besides enforcementLevel. Other values come from the settings.
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
    """Serve the pack to the engine. Does not return."""
    PolicyPack(NAME, policies(), enforcement_level=EnforcementLevel.MANDATORY)


def policies(rules: Sequence[Rule] = RULES) -> list[Policy]:
    """Return one CrossGuard policy per rule."""
    return [_policy(rule) for rule in rules]


def config_of(pack_config: Mapping[str, Any], stack_config: Mapping[str, str]) -> Config:
    """Return the configuration of a rule: the stack's settings, overridden by the pack's configuration.

    Args:
        pack_config: values of ``--policy-pack-config`` for the rule.
        stack_config: the stack's configuration, which the engine passes to the pack.
    """
    field_names = {field.name for field in fields(Config)}
    values = {"least_log_days" if key == "leastLogDays" else key: value for key, value in pack_config.items()}
    overrides = {name: _frozen(value) for name, value in values.items() if name in field_names}
    settings = stack_config.get(SETTINGS)
    if settings is None:
        return Config(**overrides)
    return replace(Config.of_text(settings), **overrides)


def _frozen(value: Any) -> Any:
    if isinstance(value, float):
        return int(value)
    return value if isinstance(value, str | int) else tuple(value)


def _policy(rule: Rule) -> Policy:
    kind = StackValidationPolicy if rule.check_stack else ResourceValidationPolicy
    validate = _stack_validation(rule) if rule.check_stack else _resource_validation(rule)
    return kind(
        name=rule.name,
        description=rule.description,
        validate=validate,  # pyright: ignore[reportArgumentType]  the function's type follows from the kind
        enforcement_level=EnforcementLevel.MANDATORY if rule.mandatory else EnforcementLevel.ADVISORY,
        config_schema=PolicyConfigSchema(properties=dict(_SCHEMA)),
        severity=Severity(rule.severity),
        framework=PolicyComplianceFramework(
            name=", ".join(rule.controls), specification="; ".join(", ".join(ids) for ids in rule.controls.values())
        ),
        remediation_steps=rule.remediation,
    )


def _is_checked(type_: str) -> bool:
    return type_.startswith("aws:") or type_ == PROVIDER


def _resource_validation(rule: Rule) -> Any:
    def validate(args: ResourceValidationArgs, report: ReportViolation) -> None:
        resource = Subject(type=args.resource_type, name=args.name, props=args.props, urn=args.urn)
        if not _is_checked(resource.type) or (rule.types and resource.type not in rule.types):
            return  # before the configuration is parsed: the engine calls every rule for every resource
        try:
            config = config_of(args.get_config(), pulumi.runtime.get_config_env())
            for text in rule.resource_violations(resource, config):
                report(f"{resource.name} {text}. {rule.remediation}", resource.urn)
        except UnknownValueError:
            raise  # the engine notes that a preview cannot know the value
        except Exception as error:  # noqa: BLE001  one broken rule must not stop the others, nor pass in silence
            report(f"{resource.name} {failure_text(error)}: report rule {rule.name}", resource.urn)

    return validate


def _stack_validation(rule: Rule) -> Any:
    def validate(args: StackValidationArgs, report: ReportViolation) -> None:
        subjects = [
            Subject(type=resource.resource_type, name=resource.name, props=resource.props, urn=resource.urn)
            for resource in args.resources
            if _is_checked(resource.resource_type)
        ]
        try:
            config = config_of(args.get_config(), pulumi.runtime.get_config_env())
            for resource, text in rule.violations(subjects, config):
                report(f"{resource.name} {text}. {rule.remediation}", resource.urn)
        except UnknownValueError:
            raise  # the engine notes that a preview cannot know the value
        except Exception as error:  # noqa: BLE001  one broken rule must not stop the others, nor pass in silence
            if isinstance(error, KeyError) and pulumi.runtime.is_dry_run():
                # An unknown output: in a preview, a provider may leave outputs out.
                args.not_applicable(f"{error.args[0]} is not known before the update")
                return
            report(f"the stack {failure_text(error)}: report rule {rule.name}", None)

    return validate
