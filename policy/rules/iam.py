"""IAM: least privilege of policies and roles, and no long-lived credentials."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from policy.config import Config
from policy.controls import CREDENTIALS, LEAST_PRIVILEGE
from policy.documents import allows_everyone, statement_label, statements
from policy.rule import Rule, Subject, Violation, as_list, of_type

GRANTS = ("iam/rolePolicy:RolePolicy", "iam/policy:Policy", "iam/userPolicy:UserPolicy", "iam/groupPolicy:GroupPolicy")
# Actions without resource-level permissions (Service Authorization Reference).
WITHOUT_RESOURCE = {
    "ec2:DescribeNetworkInterfaces",
    "ec2:DescribeSubnets",
    "xray:PutTelemetryRecords",
    "xray:PutTraceSegments",
}
GITHUB = "token.actions.githubusercontent.com"


def _granted(subjects: Sequence[Subject]) -> Iterator[tuple[Subject, Mapping[str, Any]]]:
    """Yield the Allow statements of granting policies. A permissions boundary grants nothing and is left out."""
    boundaries = {
        resource.props["permissionsBoundary"] for resource in _roles(subjects) if resource.has("permissionsBoundary")
    }
    for resource in of_type(subjects, *GRANTS):
        if resource.value("arn") not in boundaries:
            yield from ((resource, statement) for statement in statements(resource.props["policy"], "Allow"))


def _roles(subjects: Sequence[Subject]) -> list[Subject]:
    return of_type(subjects, "iam/role:Role")


def _actions(subjects: Sequence[Subject], _: Config) -> Iterator[Violation]:
    for resource, statement in _granted(subjects):
        wildcards = [action for action in as_list(statement.get("Action")) if action == "*" or action.endswith(":*")]
        if wildcards or "NotAction" in statement:
            allowed = ", ".join(wildcards) or "all but the listed actions (NotAction)"
            yield resource, f"allows {allowed} in {statement_label(statement)}"


def _resources(subjects: Sequence[Subject], _: Config) -> Iterator[Violation]:
    for resource, statement in _granted(subjects):
        actions = set(as_list(statement.get("Action"))) - WITHOUT_RESOURCE
        if actions and ("*" in as_list(statement.get("Resource")) or "NotResource" in statement):
            yield resource, f"allows {', '.join(sorted(actions))} on all resources in {statement_label(statement)}"


def _trust(resource: Subject, _: Config) -> Iterator[str]:
    for statement in statements(resource.value("assumeRolePolicy"), "Allow"):
        if allows_everyone(statement):
            yield f"can be assumed by every principal ({statement_label(statement)})"
        if GITHUB in json.dumps(statement.get("Principal")):
            values = [
                value
                for test in statement.get("Condition", {}).values()
                for key, value in test.items()
                if key == f"{GITHUB}:sub"
            ]
            subs = [sub for value in values for sub in as_list(value)]
            if not subs or any(sub.startswith(("repo:*", "*")) for sub in subs):
                yield "can be assumed by GitHub workflows of any repository"


def _bounded(resource: Subject, _: Config) -> Iterator[str]:
    # The boundary forbids creating roles, which a role of GitHub workflows does; see infra/guardrails/github.py. In the
    # preview of a first deployment, the trust policy of such a role is unknown.
    trusted = [statement.get("Principal") for statement in statements(resource.value("assumeRolePolicy"), "Allow")]
    if not resource.has("permissionsBoundary") and any(GITHUB not in json.dumps(principal) for principal in trusted):
        yield "has no permissions boundary"


def _long_lived(resource: Subject, _: Config) -> Iterator[str]:
    yield f"is a long-lived credential ({resource.type.rpartition(':')[2]})"


RULES = (
    Rule(
        name="actions-named",
        description="IAM policies allow named actions, without wildcards.",
        severity="high",
        remediation="Call the grant_… methods of the component that owns the resource.",
        controls=LEAST_PRIVILEGE,
        check_stack=_actions,
    ),
    Rule(
        name="resources-named",
        description="IAM policies name resources for all actions with resource-level permissions.",
        severity="high",
        remediation="Name the ARN. Only if AWS has no resource-level permission for the action, add the action to "
        "WITHOUT_RESOURCE in policy/rules/iam.py.",
        controls=LEAST_PRIVILEGE,
        check_stack=_resources,
    ),
    Rule(
        name="trust-named",
        description="Roles trust named principals only; for GitHub workflows, a named repository.",
        severity="critical",
        remediation="Name the service or account; for GitHub, add a condition on the token's sub with the repository.",
        controls=LEAST_PRIVILEGE,
        types=frozenset({"aws:iam/role:Role"}),
        check=_trust,
    ),
    Rule(
        name="role-bounded",
        description="In prod, every role has a permissions boundary, except roles that only GitHub workflows assume.",
        severity="medium",
        remediation="Set guardrails.boundary to true.",
        controls=LEAST_PRIVILEGE,
        types=frozenset({"aws:iam/role:Role"}),
        prod_only=True,
        check=_bounded,
    ),
    Rule(
        name="no-lasting-credentials",
        description="A stack has no IAM users, passwords, access keys or SSH key pairs.",
        severity="high",
        remediation="Use IAM Identity Center for people, OIDC for workflows, and roles for all other callers.",
        controls=CREDENTIALS,
        types=frozenset(
            {
                "aws:ec2/keyPair:KeyPair",
                "aws:iam/accessKey:AccessKey",
                "aws:iam/user:User",
                "aws:iam/userLoginProfile:UserLoginProfile",
            }
        ),
        check=_long_lived,
    ),
)
