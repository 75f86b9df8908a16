"""Policy statements of the GitHub Actions roles."""

from __future__ import annotations

from pulumi import Input, Output

from infra.foundation.keys import AUTO_SCALING, auto_scaling_role
from infra.iam import policies
from infra.naming.context import PROJECT, STACK_TAG, StackContext

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
    """Return the statements that deny a preview the content of the account, which ReadOnlyAccess would allow.

    Anyone who can open a pull request may read the configuration of resources, but not the data in them. The account
    may have other stacks, so the statements name no stack.
    """
    keys = f"arn:{context.partition}:apigateway:*::/apikeys"
    return [
        {
            "Sid": "NoContent",
            "Effect": "Deny",
            "Action": [
                "apigateway:GET",
                "secretsmanager:GetSecretValue",
                "ssm:GetParameter",
                "ssm:GetParameterHistory",
                "ssm:GetParameters",
                "ssm:GetParametersByPath",
            ],
            "Resource": [
                keys,
                f"{keys}/*",
                f"arn:{context.partition}:secretsmanager:*:*:secret:*",
                f"arn:{context.partition}:ssm:*:*:parameter/*",
            ],
        },
        *deny_data(context),
    ]


def deny_data(context: StackContext) -> list[policies.Statement]:
    """Return the statements that deny what neither a preview nor a refresh reads: items, messages, histories, logs."""
    return [
        {
            "Sid": "NoData",
            "Effect": "Deny",
            "Action": [
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
                "sqs:ReceiveMessage",
            ],
            "Resource": [
                f"arn:{context.partition}:dynamodb:*:*:table/*",
                f"arn:{context.partition}:lambda:*:*:function:*",
                f"arn:{context.partition}:rds:*:*:db:*",
                f"arn:{context.partition}:sqs:*:*:*",
            ],
        },
        {
            "Sid": "NoLogs",
            "Effect": "Deny",
            "Action": [
                "ec2:GetConsoleOutput",
                "ec2:GetConsoleScreenshot",
                "logs:FilterLogEvents",
                "logs:GetLogEvents",
                "logs:GetLogObject",
                "logs:GetLogRecord",
                "logs:GetQueryResults",
                "logs:StartLiveTail",
                "logs:StartQuery",
                "xray:BatchGetTraces",
                "xray:ListRetrievedTraces",
            ],
            # Log lines are content in every log group, and neither a query's results nor traces belong to a stack.
            "Resource": "*",
        },
    ]


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
    """Return the statements for the stack's own roles.

    The names of a stack's roles begin like those of a longer stack name: ``infrafabric-prod-*`` also matches the roles
    of prod-secondary. The boundary or the tag ``Stack`` tells them apart. Source of the condition keys: Service
    Authorization Reference, "Actions, resources, and condition keys for AWS Identity and Access Management".
    """
    roles = _own_roles(context)
    bounded = {"StringEquals": {"iam:PermissionsBoundary": boundary_arn}}
    of_stack = {"StringEquals": {f"aws:ResourceTag/{STACK_TAG}": context.stack}}
    into_stack = {"StringEquals": {f"aws:RequestTag/{STACK_TAG}": context.stack}}
    return [
        {
            "Sid": "CreateRoles",
            "Effect": "Allow",
            "Action": "iam:CreateRole",
            "Resource": roles,
            "Condition": {"StringEquals": {**bounded["StringEquals"], **into_stack["StringEquals"]}},
        },
        {
            "Sid": "GrantWithinTheBoundary",
            "Effect": "Allow",
            "Action": [
                "iam:AttachRolePolicy",
                "iam:DeleteRolePolicy",
                "iam:DetachRolePolicy",
                "iam:PutRolePermissionsBoundary",
                "iam:PutRolePolicy",
            ],
            "Resource": roles,
            "Condition": bounded,
        },
        {
            # None of these actions has a condition key for the boundary.
            "Sid": "KeepRoles",
            "Effect": "Allow",
            "Action": ["iam:DeleteRole", "iam:UntagRole", "iam:UpdateAssumeRolePolicy", "iam:UpdateRole"],
            "Resource": roles,
            "Condition": of_stack,
        },
        {
            "Sid": "TagRoles",
            "Effect": "Allow",
            "Action": "iam:TagRole",
            "Resource": roles,
            "Condition": {**of_stack, "StringEqualsIfExists": into_stack["StringEquals"]},
        },
        {
            # Creating a role with tags needs iam:TagRole. Every role of a stack has the tag Project from the beginning,
            # so that the statement adopts no role of another stack.
            "Sid": "TagNewRoles",
            "Effect": "Allow",
            "Action": "iam:TagRole",
            "Resource": roles,
            "Condition": {**into_stack, "Null": {"aws:ResourceTag/Project": "true"}},
        },
        {
            "Sid": "SeeRoles",
            "Effect": "Allow",
            "Action": [
                "iam:GetRole",
                "iam:GetRolePolicy",
                "iam:ListAttachedRolePolicies",
                "iam:ListInstanceProfilesForRole",
                "iam:ListRolePolicies",
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
            # By name alone: with iam:PassRole a condition on the role's tags is not reliable (IAM User Guide, "Grant a
            # user permissions to pass a role to an AWS service").
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
    """Return the statement that keeps a deployment from the roles for GitHub: its own, and those of other stacks."""
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
