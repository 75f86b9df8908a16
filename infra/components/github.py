"""GithubOidc: how GitHub Actions previews, compares and deploys this stack without a key that could leak."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pulumi_aws as aws
from pulumi import ComponentResource, Input, Output, Resource, ResourceOptions

from infra import policies, settings
from infra.components.boundary import Boundary
from infra.components.keys import AUTO_SCALING, auto_scaling_role
from infra.place import DataClass, Place
from infrafabric.bootstrap import STATE_KEY_ALIAS

ISSUER = "token.actions.githubusercontent.com"
AUDIENCE = "sts.amazonaws.com"
SESSION_S = 3600
# What a deployment hands roles to.
SERVICES = (
    "apigateway.amazonaws.com",
    "backup.amazonaws.com",
    "config.amazonaws.com",
    "ec2.amazonaws.com",
    "lambda.amazonaws.com",
    "s3.amazonaws.com",
    "vpc-flow-logs.amazonaws.com",
)


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
        self._write("preview", preview, [no_content(args.place), state_access(args.place)])
        drift = self._role("drift", provider_arn, f"repo:{repository}:ref:refs/heads/main", "ReadOnlyAccess")
        self._write("drift", drift, [state_access(args.place), *values_too(args)])
        deploy = self._role("deploy", provider_arn, f"repo:{repository}:environment:{stack}", "PowerUserAccess")
        self._write("deploy", deploy, deploys(args))
        self.role_arns = {"preview": preview.arn, "drift": drift.arn, "deploy": deploy.arn}
        self.register_outputs({"role_arns": self.role_arns})

    def _trusted_issuer(self) -> Output[str]:
        place = self._args.place
        if not self._args.settings.create_provider:
            return _iam(place, f"oidc-provider/{ISSUER}")
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


def no_content(place: Place) -> policies.Statement:
    """Whoever can open a pull request may see how things are set up, and nothing that they hold."""
    keys = f"arn:{place.partition}:apigateway:{place.region}::/apikeys"
    return {
        "Sid": "NoContent",
        "Effect": "Deny",
        "Action": [
            "apigateway:GET",
            "dynamodb:BatchGetItem",
            "dynamodb:GetItem",
            "dynamodb:GetRecords",
            "dynamodb:PartiQLSelect",
            "dynamodb:Query",
            "dynamodb:Scan",
            "logs:FilterLogEvents",
            "logs:GetLogEvents",
            "logs:StartQuery",
            "s3:GetObject",
            "s3:GetObjectVersion",
            "secretsmanager:GetSecretValue",
            "sqs:ReceiveMessage",
            "ssm:GetParameter",
            "ssm:GetParameters",
            "ssm:GetParametersByPath",
        ],
        "Resource": [
            keys,
            f"{keys}/*",
            f"arn:{place.partition}:dynamodb:*:*:table/{place.named('*')}",
            f"arn:{place.partition}:logs:*:*:log-group:*",
            f"arn:{place.partition}:s3:::{place.named('*')}/*",
            f"arn:{place.partition}:secretsmanager:*:*:secret:*",
            f"arn:{place.partition}:sqs:*:*:*",
            f"arn:{place.partition}:ssm:*:*:parameter/*",
        ],
    }


def state_access(place: Place) -> policies.Statement:
    """What a preview needs of Pulumi's state, where ``fabric bootstrap`` puts it: secrets in it are encrypted. Reading
    is in ReadOnlyAccess, and a preview takes no lock (``diyBackend.Preview`` in pulumi/pulumi)."""
    # All stacks keep their state in one region, which need not be the stack's own.
    keys = place.account_id.apply(lambda account: f"arn:{place.partition}:kms:*:{account}:key/*")
    return {
        "Sid": "DecryptState",
        "Effect": "Allow",
        "Action": "kms:Decrypt",
        "Resource": keys,
        "Condition": {"ForAnyValue:StringEquals": {"kms:ResourceAliases": STATE_KEY_ALIAS}},
    }


def values_too(args: GithubOidcArgs) -> list[policies.Statement]:
    """Comparing a value with its state takes reading it, which ReadOnlyAccess does not grant: secrets, and the
    variables of functions, which Lambda leaves out for whoever may not decrypt them."""
    place = args.place
    services = [f"{service}.{place.region}.amazonaws.com" for service in ("lambda", "secretsmanager")]
    return [
        {
            "Sid": "CompareSecrets",
            "Effect": "Allow",
            "Action": "secretsmanager:GetSecretValue",
            "Resource": place.arn("secretsmanager", f"secret:{place.named('*')}"),
        },
        {
            "Sid": "DecryptValues",
            "Effect": "Allow",
            "Action": "kms:Decrypt",
            "Resource": args.data_key_arn,
            "Condition": {"StringEquals": {"kms:ViaService": services}},
        },
    ]


def deploys(args: GithubOidcArgs) -> list[policies.Statement]:
    """IAM, which PowerUserAccess leaves out: the stack's own roles, and only within the boundary."""
    place, boundary_arn = args.place, args.boundary.policy_arn
    roles = _iam(place, f"role/{place.named('*')}")
    bounded = {"StringEquals": {"iam:PermissionsBoundary": boundary_arn}}
    return [
        {
            "Sid": "GrantWithinTheBoundary",
            "Effect": "Allow",
            "Action": [
                "iam:AttachRolePolicy",
                "iam:CreateRole",
                "iam:DeleteRolePolicy",
                "iam:DetachRolePolicy",
                "iam:PutRolePermissionsBoundary",
                "iam:PutRolePolicy",
            ],
            "Resource": roles,
            "Condition": bounded,
        },
        {
            "Sid": "KeepRoles",
            "Effect": "Allow",
            "Action": [
                "iam:DeleteRole",
                "iam:GetRole",
                "iam:GetRolePolicy",
                "iam:ListAttachedRolePolicies",
                "iam:ListInstanceProfilesForRole",
                "iam:ListRolePolicies",
                "iam:TagRole",
                "iam:UntagRole",
                "iam:UpdateAssumeRolePolicy",
                "iam:UpdateRole",
            ],
            "Resource": roles,
        },
        {
            "Sid": "KeepInstanceProfiles",
            "Effect": "Allow",
            "Action": [
                "iam:AddRoleToInstanceProfile",
                "iam:CreateInstanceProfile",
                "iam:DeleteInstanceProfile",
                "iam:GetInstanceProfile",
                "iam:RemoveRoleFromInstanceProfile",
                "iam:TagInstanceProfile",
                "iam:UntagInstanceProfile",
            ],
            "Resource": [roles, _iam(place, f"instance-profile/{place.named('*')}")],
        },
        {
            # Auto Scaling's role for encrypted volumes, whose name AWS makes of ours.
            "Sid": "KeepServiceLinkedRoles",
            "Effect": "Allow",
            "Action": [
                "iam:CreateServiceLinkedRole",
                "iam:DeleteServiceLinkedRole",
                "iam:GetRole",
                "iam:GetServiceLinkedRoleDeletionStatus",
                "iam:TagRole",
                "iam:UpdateRole",
            ],
            "Resource": _iam(place, f"role/aws-service-role/{AUTO_SCALING}/*_{place.named('*')}"),
        },
        {
            # A group that names its role is refused to whoever may not pass it, service-linked or not.
            "Sid": "PassServiceLinkedRole",
            "Effect": "Allow",
            "Action": "iam:PassRole",
            "Resource": auto_scaling_role(place, args.primary_stack or place.stack),
            "Condition": {"StringEquals": {"iam:PassedToService": AUTO_SCALING}},
        },
        {
            "Sid": "PassRoles",
            "Effect": "Allow",
            "Action": "iam:PassRole",
            "Resource": roles,
            "Condition": {"StringEquals": {"iam:PassedToService": list(SERVICES)}},
        },
        {
            "Sid": "SeeTheBoundary",
            "Effect": "Allow",
            "Action": ["iam:GetPolicy", "iam:GetPolicyVersion", "iam:ListPolicyVersions"],
            "Resource": boundary_arn,
        },
        {
            "Sid": "SeeTheProvider",
            "Effect": "Allow",
            "Action": "iam:GetOpenIDConnectProvider",
            "Resource": _iam(place, f"oidc-provider/{ISSUER}"),
        },
        {
            "Sid": "NotItself",
            "Effect": "Deny",
            "Action": [
                "iam:AttachRolePolicy",
                "iam:DeleteRole",
                "iam:PassRole",
                "iam:PutRolePolicy",
                "iam:UpdateAssumeRolePolicy",
            ],
            "Resource": _iam(place, f"role/{place.named('github-*')}"),
        },
    ]


def _iam(place: Place, resource: str) -> Output[str]:
    return place.account_id.apply(lambda account: f"arn:{place.partition}:iam::{account}:{resource}")
