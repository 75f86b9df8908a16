"""The CrossGuard pack in this process: policies, configuration, and the tables in docs/policy.md."""

from __future__ import annotations

import ast
import json
from dataclasses import replace
from pathlib import Path

import pytest
from pulumi_policy import (
    EnforcementLevel,
    PolicyResourceOptions,
    ResourceValidationArgs,
    ResourceValidationPolicy,
    StackValidationArgs,
    StackValidationPolicy,
)
from pulumi_policy.proxy import UNKNOWN_STRING_VALUE, unknown_checking_proxy

from policy import pack, page
from policy.config import PROFILES, Config
from policy.rules import RULES

ROOT = Path(__file__).resolve().parents[3]
POLICIES = {policy.name: policy for policy in pack.policies()}


def validate(name, type_, props, config=None):
    """Return the violations that a policy reports for one resource, as (message, URN)."""
    options = PolicyResourceOptions(False, [], None, [], None, [], None)  # pyright: ignore[reportArgumentType]
    args = ResourceValidationArgs(type_, unknown_checking_proxy(props), "urn:it", "it", options, None, config)
    violations = []
    policy = POLICIES[name]
    assert isinstance(policy, ResourceValidationPolicy)
    policy.validate(args, lambda message, urn=None: violations.append((message, urn)))
    return violations


def test_the_pack_holds_every_rule_as_strict_as_it_is():
    levels = {True: EnforcementLevel.MANDATORY, False: EnforcementLevel.ADVISORY}
    assert {name: (p.enforcement_level, p.severity.value if p.severity else None) for name, p in POLICIES.items()} == {
        rule.name: (levels[rule.mandatory], rule.severity) for rule in RULES
    }


def test_rules_over_a_stack_are_policies_over_a_stack():
    whole = {name for name, policy in POLICIES.items() if isinstance(policy, StackValidationPolicy)}
    assert whole == {rule.name for rule in RULES if rule.check_stack}


@pytest.mark.parametrize("rule", RULES, ids=[rule.name for rule in RULES])
def test_a_rule_says_what_to_do_and_which_controls_it_serves(rule):
    assert rule.description.endswith(".")
    assert rule.remediation.endswith(".")
    assert rule.controls
    assert set(rule.controls) <= set(PROFILES)
    assert bool(rule.check) != bool(rule.check_stack), "one kind of check, or CrossGuard would ask for one of two"


def test_no_two_rules_share_a_name():
    assert len(POLICIES) == len(RULES)


def test_a_violation_names_the_resource_and_the_way_out():
    assert validate("queue-encrypted", "aws:sqs/queue:Queue", {"name": "a"}) == [
        (
            "it has neither kmsMasterKeyId nor sqsManagedSseEnabled. Set sqsManagedSseEnabled, or kmsMasterKeyId.",
            "urn:it",
        )
    ]


def test_a_key_that_a_preview_cannot_know_yet_is_a_key():
    assert validate("our-key", "aws:sns/topic:Topic", {"kmsMasterKeyId": UNKNOWN_STRING_VALUE}) == []


@pytest.mark.parametrize("unset", ["", None])
def test_a_key_that_is_empty_is_no_key(unset):
    assert len(validate("our-key", "aws:sns/topic:Topic", {"kmsMasterKeyId": unset})) == 1


def _fails(*_):
    raise ValueError("a bug")


def _reported(policy, args):
    reports = []
    policy.validate(args, lambda message, urn=None: reports.append((message, urn)))
    return reports


def test_a_rule_over_a_resource_that_fails_is_reported_by_name():
    rule = replace(next(rule for rule in RULES if rule.name == "queue-encrypted"), check=_fails)
    options = PolicyResourceOptions(False, [], None, [], None, [], None)  # pyright: ignore[reportArgumentType]
    args = ResourceValidationArgs("aws:sqs/queue:Queue", {}, "urn:it", "it", options, None, None)
    assert _reported(pack.policies([rule])[0], args) == [
        (
            "it could not be checked: the rule itself failed (ValueError: a bug): report rule queue-encrypted",
            "urn:it",
        )
    ]


def test_a_rule_over_a_stack_that_fails_is_reported_by_name():
    rule = replace(next(rule for rule in RULES if rule.name == "public-shielded"), check_stack=_fails)
    (message, urn) = _reported(pack.policies([rule])[0], StackValidationArgs([]))[0]
    assert message == (
        "the stack could not be checked: the rule itself failed (ValueError: a bug): report rule public-shielded"
    )
    assert urn is None


def test_another_type_is_not_asked():
    assert validate("queue-encrypted", "aws:sns/topic:Topic", {}) == []
    assert validate("tagged", "infrafabric:messaging:Bus", {"tags": {}}) == []


def test_the_packs_configuration_goes_before_the_stacks_settings():
    settings = json.dumps({"environment": "dev", "region": "eu-west-1", "residency": "eu"})
    assert pack.config_of({}, {"infrafabric:settings": settings}).environment == "dev"
    overridden = pack.config_of({"environment": "prod", "leastLogDays": 90.0}, {"infrafabric:settings": settings})
    assert (overridden.environment, overridden.least_log_days, overridden.residency) == ("prod", 90, "eu")


def test_a_stack_that_says_nothing_is_held_to_what_prod_is():
    assert pack.config_of({}, {}) == Config()
    assert Config().prod


def test_a_profile_from_the_packs_configuration_leaves_other_rules_out():
    database = ("class-allowed", "aws:rds/instance:Instance", {"instanceClass": "db.r8g.large"})
    assert len(validate(*database, {"profile": "soc2"})) == 1
    assert validate(*database, {"profile": "gdpr"}) == []
    assert validate(*database, {"families": ["r8g"], "classes": ["large"]}) == []


def test_the_rules_run_where_the_program_is_not_installed():
    for path in [ROOT / "policy" / "pack.py", ROOT / "policy" / "rule.py", *(ROOT / "policy" / "rules").glob("*.py")]:
        imported = [n.module or "" for n in ast.walk(ast.parse(path.read_text())) if isinstance(n, ast.ImportFrom)]
        assert not [name for name in imported if name.partition(".")[0] == "infra"], path.name
        assert "policy.over_graph" not in imported, path.name


def test_the_page_lists_the_rules_as_they_are():
    page_text = (ROOT / "docs" / "policy.md").read_text()
    assert page.with_tables(page_text) == page_text, "python -m policy.page writes it"
