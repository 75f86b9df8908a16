"""GithubOidc: how GitHub Actions previews, compares and deploys this stack without a key that could leak."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pulumi_aws as aws
from pulumi import ComponentResource, Input, Output, Resource, ResourceOptions

from infra import settings
from infra.guardrails.boundary import Boundary
from infra.guardrails.github_rights import ISSUER, deploys, iam_arn, no_content, state_access, values_too
from infra.iam import policies
from infra.naming.context import DataClass, Place

AUDIENCE = "sts.amazonaws.com"
SESSION_S = 7200  # an update of prod may wait an hour and more for certificates and a database


@dataclass(frozen=True, kw_only=True)
class GithubOidcArgs:
    place: Place
    settings: settings.GithubOidc
    boundary: Boundary
    data_key_arn: Input[str]  # with which secrets and variables are encrypted
    primary_stack: str | None = None  # a standby's: the name of the stack whose role its instances are made as


class GithubOidc(ComponentResource):
    """Three roles: a pull request may look, main may compare all that there is, an approved environment may deploy.

    None can be bounded by the stack's boundary, which forbids making roles. The deploy role is bounded differently:
    it makes and changes only roles that carry the boundary, and not itself. Whoever widens the boundary or these roles
    is an administrator, at their own keyboard.
    """

    role_arns: dict[str, Output[str]]  # preview, drift, deploy

    def __init__(self, name: str, args: GithubOidcArgs, opts: ResourceOptions | None = None) -> None:
        super().__init__("infrafabric:guardrails:GithubOidc", name, opts=opts)
        self._name, self._args = name, args
        provider_arn = self._trusted_issuer()
        repository, stack = args.settings.repository, args.place.stack
        preview = self._role("preview", provider_arn, f"repo:{repository}:pull_request", "ReadOnlyAccess")
        self._write("preview", preview, [*no_content(args.place), state_access(args.place)])
        drift = self._role("drift", provider_arn, f"repo:{repository}:ref:refs/heads/main", "ReadOnlyAccess")
        self._write("drift", drift, [state_access(args.place), *values_too(args.place, args.data_key_arn)])
        deploy = self._role("deploy", provider_arn, f"repo:{repository}:environment:{stack}", "PowerUserAccess")
        self._write("deploy", deploy, deploys(args.place, args.boundary.policy_arn, args.primary_stack))
        self.role_arns = {"preview": preview.arn, "drift": drift.arn, "deploy": deploy.arn}
        self.register_outputs({"role_arns": self.role_arns})

    def _trusted_issuer(self) -> Output[str]:
        place = self._args.place
        if not self._args.settings.create_provider:
            return iam_arn(place, f"oidc-provider/{ISSUER}")
        provider = aws.iam.OpenIdConnectProvider(
            f"{self._name}-provider",
            url=f"https://{ISSUER}",
            client_id_lists=[AUDIENCE],
            # No thumbprints: AWS knows GitHub's certificates itself, and fills them in.
            tags=place.tags("guardrails", DataClass.NONE, "github"),
            opts=ResourceOptions(parent=self),
        )
        return provider.arn

    def _role(self, what: str, provider_arn: Input[str], subject: str, aws_policy: str) -> aws.iam.Role:
        place, child = self._args.place, ResourceOptions(parent=self)
        trusted = {
            "Effect": "Allow",
            "Principal": {"Federated": provider_arn},
            "Action": "sts:AssumeRoleWithWebIdentity",
            "Condition": {"StringEquals": {f"{ISSUER}:aud": AUDIENCE, f"{ISSUER}:sub": subject}},
        }
        role = aws.iam.Role(
            f"{self._name}-{what}",
            name=place.named(f"github-{what}"),
            description=f"GitHub Actions of {self._args.settings.repository}: {what}",
            assume_role_policy=policies.document(trusted),
            max_session_duration=SESSION_S,
            tags=place.tags("guardrails", DataClass.NONE, f"github-{what}"),
            opts=child,
        )
        aws.iam.RolePolicyAttachment(
            f"{self._name}-{what}-{aws_policy.lower()}",
            role=role.name,
            policy_arn=f"arn:{place.partition}:iam::aws:policy/{aws_policy}",
            opts=child,
        )
        return role

    def _write(self, what: str, role: aws.iam.Role, statements: Sequence[policies.Statement]) -> Resource:
        return aws.iam.RolePolicy(
            f"{self._name}-{what}-policy",
            name="granted",
            role=role.name,
            policy=policies.document(*statements),
            opts=ResourceOptions(parent=self),
        )
