"""Nobody may do more than the work needs, and nobody holds a credential that lasts."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from policy.config import Config
from policy.controls import CREDENTIALS, LEAST_PRIVILEGE
from policy.documents import called, everybody, statements
from policy.rule import Rule, Subject, Violation, given, inner, items, of

GRANTS = ("iam/rolePolicy:RolePolicy", "iam/policy:Policy", "iam/userPolicy:UserPolicy", "iam/groupPolicy:GroupPolicy")
# Actions for which AWS knows no narrower resource (Service Authorization Reference).
UNBOUND = {
    "ec2:DescribeNetworkInterfaces",
    "ec2:DescribeSubnets",
    "xray:PutTelemetryRecords",
    "xray:PutTraceSegments",
}
GITHUB = "token.actions.githubusercontent.com"


def _granted(subjects: Sequence[Subject]) -> Iterator[tuple[Subject, Mapping[str, Any]]]:
    """What is allowed by a policy that grants: a boundary grants nothing, and allows widely before it denies."""
    ceilings = {it.props["permissionsBoundary"] for it in _roles(subjects) if given(it.props, "permissionsBoundary")}
    for it in of(subjects, *GRANTS):
        if inner(it.props, "arn") not in ceilings:
            yield from ((it, statement) for statement in statements(it.props["policy"], "Allow"))


def _roles(subjects: Sequence[Subject]) -> list[Subject]:
    return of(subjects, "iam/role:Role")


def _actions(subjects: Sequence[Subject], _: Config) -> Iterator[Violation]:
    for it, statement in _granted(subjects):
        wild = [action for action in items(statement.get("Action")) if action == "*" or action.endswith(":*")]
        if wild or "NotAction" in statement:
            yield it, f"allows {', '.join(wild) or 'all but some actions'} in {called(statement)}"


def _resources(subjects: Sequence[Subject], _: Config) -> Iterator[Violation]:
    for it, statement in _granted(subjects):
        narrower = set(items(statement.get("Action"))) - UNBOUND
        if narrower and ("*" in items(statement.get("Resource")) or "NotResource" in statement):
            yield it, f"allows {', '.join(sorted(narrower))} on everything in {called(statement)}"


def _trust(it: Subject, _: Config) -> Iterator[str]:
    for statement in statements(inner(it.props, "assumeRolePolicy"), "Allow"):
        if everybody(statement):
            yield f"may be assumed by anybody ({called(statement)})"
        if GITHUB in json.dumps(statement.get("Principal")):
            asked = [
                value
                for test in statement.get("Condition", {}).values()
                for key, value in test.items()
                if key == f"{GITHUB}:sub"
            ]
            subs = [sub for value in asked for sub in items(value)]
            if not subs or any(sub.startswith(("repo:*", "*")) for sub in subs):
                yield "may be assumed by workflows of any repository"


def _bounded(it: Subject, _: Config) -> Iterator[str]:
    if not given(it.props, "permissionsBoundary"):
        yield "has no permissions boundary"


def _lasting(it: Subject, _: Config) -> Iterator[str]:
    yield f"is a lasting credential ({it.type.rpartition(':')[2]})"


RULES = (
    Rule(
        name="actions-named",
        description="Policies name the actions that they allow.",
        severity="high",
        remediation="Grant by the grant_… methods of the component that owns the resource.",
        controls=LEAST_PRIVILEGE,
        check_stack=_actions,
    ),
    Rule(
        name="resources-named",
        description="Policies name the resources that they allow actions on, where AWS knows a narrower one than all.",
        severity="high",
        remediation="Name the ARN; or add the action to UNBOUND in policy/rules/iam.py, if AWS knows no narrower one.",
        controls=LEAST_PRIVILEGE,
        check_stack=_resources,
    ),
    Rule(
        name="trust-named",
        description="A role is assumed by principals that it names; a workflow by its repository.",
        severity="critical",
        remediation="Name the service or account; for GitHub a condition on the token's sub with the repository.",
        controls=LEAST_PRIVILEGE,
        types=frozenset({"aws:iam/role:Role"}),
        check=_trust,
    ),
    Rule(
        name="role-bounded",
        description="In prod every role has a permissions boundary.",
        severity="medium",
        remediation="Set guardrails.boundary.",
        controls=LEAST_PRIVILEGE,
        types=frozenset({"aws:iam/role:Role"}),
        prod_only=True,
        check=_bounded,
    ),
    Rule(
        name="no-lasting-credentials",
        description="There are no users, passwords or access keys: people and workflows assume roles.",
        severity="high",
        remediation="Use IAM Identity Center for people, OIDC for workflows, roles for everything else.",
        controls=CREDENTIALS,
        types=frozenset(
            {
                "aws:ec2/keyPair:KeyPair",
                "aws:iam/accessKey:AccessKey",
                "aws:iam/user:User",
                "aws:iam/userLoginProfile:UserLoginProfile",
            }
        ),
        check=_lasting,
    ),
)
