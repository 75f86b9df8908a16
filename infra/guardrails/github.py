"""GitHub Actions roles by OpenID Connect, for preview, drift detection and deployment without a stored access key."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pulumi_aws as aws
from pulumi import ComponentResource, Input, Output, Resource, ResourceOptions

from infra import settings
from infra.guardrails.boundary import Boundary
from infra.guardrails.github_rights import (
    ISSUER,
    allow_comparing_values,
    allow_deployment,
    deny_content,
    deny_data,
    iam_arn,
)
from infra.guardrails.pulumi_state import PulumiState, deny_other_environments
from infra.iam import policies
from infra.naming.context import DataClass, StackContext

AUDIENCE = "sts.amazonaws.com"
# GitHub environment with reviewers, in which pull requests preview the stacks of environment prod. The subject of the
# job's token is the environment, so a branch cannot get the role by changing the workflow.
PREVIEWS_OF_PROD = "prod-preview"
SESSION_S = 7200  # an update of prod may wait more than an hour for certificates and a database


@dataclass(frozen=True, kw_only=True)
class GithubOidcArgs:
    context: StackContext
    settings: settings.GithubOidcSettings
    boundary: Boundary
    data_key_arn: Input[str]  # key of secrets and environment variables
    state: PulumiState


class GithubOidc(ComponentResource):
    """IAM roles for GitHub Actions: preview for pull requests, drift for main, deploy for an approved environment.

    A pull request previews a stack of environment prod in an approved environment, too.

    The stack's boundary cannot apply to these roles, because the boundary forbids creating roles. The deploy role has
    another limit: it creates and changes only roles with the boundary, and not itself. Widening the boundary or these
    roles needs an administrator.
    """

    role_arns: dict[str, Output[str]]  # preview, drift, deploy

    def __init__(self, name: str, args: GithubOidcArgs, opts: ResourceOptions | None = None) -> None:
        super().__init__("infrafabric:guardrails:GithubOidc", name, opts=opts)
        self._name, self._args = name, args
        provider_arn = self._provider_arn()
        context, state, repository = args.context, args.state, args.settings.repository
        own_buckets = f"arn:{context.partition}:s3:::{context.physical_name('*')}"
        reviewed = f"environment:{PREVIEWS_OF_PROD}" if context.prod else "pull_request"
        preview = self._role("preview", provider_arn, f"repo:{repository}:{reviewed}", "ReadOnlyAccess")
        self._write_policy(
            "preview", preview, [*state.allow_reading(), *state.deny_other_objects(), *deny_content(context)]
        )
        drift = self._role("drift", provider_arn, f"repo:{repository}:ref:refs/heads/main", "ReadOnlyAccess")
        self._write_policy(
            "drift",
            drift,
            [
                *state.allow_reading(),
                *state.deny_other_objects(own_buckets),
                *allow_comparing_values(context, args.data_key_arn),
                *deny_data(context),
                deny_other_environments(context),
            ],
        )
        deploy = self._role("deploy", provider_arn, f"repo:{repository}:environment:{context.stack}", "PowerUserAccess")
        primary_stack = state.primary.name if state.primary else None
        self._write_policy(
            "deploy",
            deploy,
            [
                *allow_deployment(context, args.boundary.policy_arn, primary_stack),
                *state.deny_other_stacks(own_buckets),
                deny_other_environments(context),
            ],
        )
        self.role_arns = {"preview": preview.arn, "drift": drift.arn, "deploy": deploy.arn}
        self.register_outputs({"role_arns": self.role_arns})

    def _provider_arn(self) -> Output[str]:
        context = self._args.context
        if not self._args.settings.create_provider:
            return iam_arn(context, f"oidc-provider/{ISSUER}")
        provider = aws.iam.OpenIdConnectProvider(
            f"{self._name}-provider",
            url=f"https://{ISSUER}",
            client_id_lists=[AUDIENCE],
            # No thumbprints: AWS trusts GitHub's certificates by itself, and fills the thumbprints in.
            tags=context.tags("guardrails", DataClass.NONE, "github"),
            opts=ResourceOptions(parent=self),
        )
        return provider.arn

    def _role(self, label: str, provider_arn: Input[str], subject: str, aws_policy: str) -> aws.iam.Role:
        context, child = self._args.context, ResourceOptions(parent=self)
        trust = {
            "Effect": "Allow",
            "Principal": {"Federated": provider_arn},
            "Action": "sts:AssumeRoleWithWebIdentity",
            "Condition": {"StringEquals": {f"{ISSUER}:aud": AUDIENCE, f"{ISSUER}:sub": subject}},
        }
        role = aws.iam.Role(
            f"{self._name}-{label}",
            name=context.physical_name(f"github-{label}"),
            description=f"GitHub Actions of {self._args.settings.repository}: {label}",
            assume_role_policy=policies.document(trust),
            max_session_duration=SESSION_S,
            tags=context.tags("guardrails", DataClass.NONE, f"github-{label}"),
            opts=child,
        )
        aws.iam.RolePolicyAttachment(
            f"{self._name}-{label}-{aws_policy.lower()}",
            role=role.name,
            policy_arn=f"arn:{context.partition}:iam::aws:policy/{aws_policy}",
            opts=child,
        )
        return role

    def _write_policy(self, label: str, role: aws.iam.Role, statements: Sequence[policies.Statement]) -> Resource:
        return aws.iam.RolePolicy(
            f"{self._name}-{label}-policy",
            name="granted",
            role=role.name,
            policy=policies.document(*statements),
            opts=ResourceOptions(parent=self),
        )
