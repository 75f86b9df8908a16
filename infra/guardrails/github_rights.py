"""Policy statements of the GitHub Actions roles."""

from __future__ import annotations

from pulumi import Input, Output

from infra.foundation.keys import AUTO_SCALING, auto_scaling_role
from infra.iam import policies
from infra.naming.context import PROJECT, StackContext
from infrafabric.operators.bootstrap import STATE_KEY_ALIAS

ISSUER = "token.actions.githubusercontent.com"
# AWS services that a deployment passes roles to.
SERVICES = (
    "apigateway.amazonaws.com",
    "backup.amazonaws.com",
    "config.amazonaws.com",
    "ec2.amazonaws.com",
    "lambda.amazonaws.com",
    "s3.amazonaws.com",
    "vpc-flow-logs.amazonaws.com",
)


def deny_content(context: StackContext) -> list[policies.Statement]:
    """Return the statements that deny reading content, which ReadOnlyAccess would allow.

    Anyone who can open a pull request may read the configuration of resources, but not the data in them.
    """
    keys = f"arn:{context.partition}:apigateway:{context.region}::/apikeys"
    return [
        {
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
                "lambda:GetDurableExecution",  # the input is a session's order, the history has the agents' answers
                "lambda:GetDurableExecutionHistory",
                "lambda:GetDurableExecutionState",
                "rds:DownloadCompleteDBLogFile",
                "rds:DownloadDBLogFilePortion",
                "s3:GetObject",
                "s3:GetObjectVersion",
                "secretsmanager:GetSecretValue",
                "sqs:ReceiveMessage",
                "ssm:GetParameter",
                "ssm:GetParameterHistory",
                "ssm:GetParameters",
                "ssm:GetParametersByPath",
            ],
            "Resource": [
                keys,
                f"{keys}/*",
                f"arn:{context.partition}:dynamodb:*:*:table/{context.physical_name('*')}",
                f"arn:{context.partition}:lambda:*:*:function:{context.physical_name('*')}",
                f"arn:{context.partition}:rds:*:*:db:{context.physical_name('*')}",
                f"arn:{context.partition}:s3:::{context.physical_name('*')}/*",
                f"arn:{context.partition}:secretsmanager:*:*:secret:*",
                f"arn:{context.partition}:sqs:*:*:*",
                f"arn:{context.partition}:ssm:*:*:parameter/*",
            ],
        },
        {
            "Sid": "NoLogs",
            "Effect": "Deny",
            "Action": [
                "logs:FilterLogEvents",
                "logs:GetLogEvents",
                "logs:GetLogObject",
                "logs:GetLogRecord",
                "logs:GetQueryResults",
                "logs:StartLiveTail",
                "logs:StartQuery",
            ],
            # Log lines are content in every log group, and the ARN of a query's results names no log group.
            "Resource": "*",
        },
    ]


def allow_decrypting_state(context: StackContext) -> policies.Statement:
    """Return the statement that lets a preview decrypt the secrets in Pulumi's state.

    The state is in the bucket of ``fabric bootstrap``. ReadOnlyAccess allows reading the bucket, and a preview takes no
    lock (``diyBackend.Preview`` in pulumi/pulumi).
    """
    # All stacks keep their state in one region, which may differ from the stack's region.
    keys = context.account_id.apply(lambda account: f"arn:{context.partition}:kms:*:{account}:key/*")
    return {
        "Sid": "DecryptState",
        "Effect": "Allow",
        "Action": "kms:Decrypt",
        "Resource": keys,
        "Condition": {"ForAnyValue:StringEquals": {"kms:ResourceAliases": STATE_KEY_ALIAS}},
    }


def allow_comparing_values(context: StackContext, data_key_arn: Input[str]) -> list[policies.Statement]:
    """Return the statements that let drift detection compare secrets and environment variables with the state.

    ReadOnlyAccess does not allow reading secrets, and Lambda omits environment variables for principals without
    kms:Decrypt.

    Args:
        data_key_arn: key of secrets and environment variables.
    """
    services = [f"{service}.{context.region}.amazonaws.com" for service in ("lambda", "secretsmanager")]
    return [
        {
            "Sid": "CompareSecrets",
            "Effect": "Allow",
            "Action": "secretsmanager:GetSecretValue",
            "Resource": context.arn("secretsmanager", f"secret:{context.physical_name('*')}"),
        },
        {
            "Sid": "DecryptValues",
            "Effect": "Allow",
            "Action": "kms:Decrypt",
            "Resource": data_key_arn,
            "Condition": {"StringEquals": {"kms:ViaService": services}},
        },
    ]


def allow_deployment(
    context: StackContext, boundary_arn: Input[str], primary_stack: str | None
) -> list[policies.Statement]:
    """Return the IAM statements of a deployment: the stack's own roles, and only within the boundary.

    PowerUserAccess, which the deploy role has as well, excludes IAM.

    Args:
        primary_stack: standby only: stack that owns the instances' service-linked role.
    """
    return [
        *_manage_roles(context, boundary_arn),
        *_manage_profiles_and_linked_roles(context),
        *_pass_roles(context, primary_stack or context.stack),
        *_read_boundary_and_provider(context, boundary_arn),
        _deny_own_roles(context),
    ]


def _manage_roles(context: StackContext, boundary_arn: Input[str]) -> list[policies.Statement]:
    roles = _own_roles(context)
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
            "Condition": {"StringEquals": {"iam:PermissionsBoundary": boundary_arn}},
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
    ]


def _manage_profiles_and_linked_roles(context: StackContext) -> list[policies.Statement]:
    """Return the statements for instance profiles and for Auto Scaling's service-linked role."""
    return [
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
            "Resource": [_own_roles(context), iam_arn(context, f"instance-profile/{context.physical_name('*')}")],
        },
        {
            # Auto Scaling's role for encrypted volumes; AWS builds its name from our suffix.
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
            "Resource": iam_arn(context, f"role/aws-service-role/{AUTO_SCALING}/*_{context.physical_name('*')}"),
        },
    ]


def _pass_roles(context: StackContext, stack_of_role: str) -> list[policies.Statement]:
    return [
        {
            # Creating a group that names its role needs iam:PassRole, even for a service-linked role.
            "Sid": "PassServiceLinkedRole",
            "Effect": "Allow",
            "Action": "iam:PassRole",
            "Resource": auto_scaling_role(context, stack_of_role),
            "Condition": {"StringEquals": {"iam:PassedToService": AUTO_SCALING}},
        },
        {
            "Sid": "PassRoles",
            "Effect": "Allow",
            "Action": "iam:PassRole",
            "Resource": _own_roles(context),
            "Condition": {"StringEquals": {"iam:PassedToService": list(SERVICES)}},
        },
    ]


def _read_boundary_and_provider(context: StackContext, boundary_arn: Input[str]) -> list[policies.Statement]:
    return [
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
            "Resource": iam_arn(context, f"oidc-provider/{ISSUER}"),
        },
    ]


def _deny_own_roles(context: StackContext) -> policies.Statement:
    """Return the statement that keeps a deployment from changing its own role, and those of other stacks.

    The names of a stack's roles begin like those of a longer stack name: ``infrafabric-prod-*`` also matches the roles
    of prod-secondary.
    """
    return {
        "Sid": "NotItself",
        "Effect": "Deny",
        "Action": [
            "iam:AttachRolePolicy",
            "iam:DeleteRole",
            "iam:DeleteRolePolicy",
            "iam:DetachRolePolicy",
            "iam:PassRole",
            "iam:PutRolePermissionsBoundary",
            "iam:PutRolePolicy",
            "iam:TagRole",
            "iam:UntagRole",
            "iam:UpdateAssumeRolePolicy",
            "iam:UpdateRole",
        ],
        "Resource": iam_arn(context, f"role/{PROJECT}-*-github-*"),
    }


def _own_roles(context: StackContext) -> Output[str]:
    return iam_arn(context, f"role/{context.physical_name('*')}")


def iam_arn(context: StackContext, resource: str) -> Output[str]:
    """Return an IAM ARN of the account; IAM ARNs have no region."""
    return context.account_id.apply(lambda account: f"arn:{context.partition}:iam::{account}:{resource}")
