"""Least privilege: the complete list of every role's rights, and properties that single grants must have.

Placeholders of the list: ``<stack>`` is the stack's name and ``<own>`` the prefix of its physical names; ``<primary>``
and ``<shared>`` are the same of the stack that owns the data, which is the primary for a standby; ``<data-key>`` is the
data key's id.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable
from fnmatch import fnmatchcase
from typing import Any

import pytest
from pulumi import ResourceOptions

from infrafabric.bus.claim_check import object_key
from infrafabric.swarm.object_keys import findings_key, report_key, result_key
from infrafabric.swarm.session_key import SessionKey
from tests.conftest import Estate

Statements = dict[str, dict[str, Any]]  # by Sid: effect, actions, resources, condition


def arn(service: str, resource: str) -> str:
    return f"arn:aws:{service}:<region>:<account>:{resource}"


def iam(resource: str) -> str:
    return f"arn:aws:iam::<account>:{resource}"


def bucket(label: str, key: str = "", *, stack: str = "<own>", region: str = "<region>") -> str:
    return f"arn:aws:s3:::{stack}-{label}-<account>-{region}{key}"


def results(key: str) -> str:
    return bucket("results", key, stack="<shared>")


def through(*services: str) -> dict[str, Any]:
    return {"StringEquals": {"kms:ViaService": [f"{service}.<region>.amazonaws.com" for service in services]}}


def allow(sid: str, *actions: str, on: str | list[str], when: dict[str, Any] | None = None) -> Statements:
    return statement(sid, "Allow", actions, on, when)


def deny(sid: str, *actions: str, on: str | list[str]) -> Statements:
    return statement(sid, "Deny", actions, on, None)


def statement(
    sid: str, effect: str, actions: Iterable[str], on: str | list[str], when: dict[str, Any] | None
) -> Statements:
    resources = [on] if isinstance(on, str) else on
    return {sid: {"Effect": effect, "Action": sorted(actions), "Resource": sorted(resources), "Condition": when or {}}}


def use_data_key(*services: str) -> Statements:
    actions = ("kms:Decrypt", "kms:DescribeKey", "kms:Encrypt", "kms:GenerateDataKey")
    found: Statements = {}
    for service in services:
        found |= allow(f"UseDataKeyThrough{service.title()}", *actions, on=DATA_KEY, when=through(service))
    return found


def run(function: str) -> Statements:
    """Return the rights of every function: its own log group, traces and environment variables."""
    logs = arn("logs", f"log-group:/aws/lambda/<own>-{function}:*")
    return {
        **allow("WriteLogs", "logs:CreateLogStream", "logs:PutLogEvents", on=logs),
        **allow("Trace", "xray:PutTelemetryRecords", "xray:PutTraceSegments", on="*"),
        **allow("ReadVariables", "kms:Decrypt", on=DATA_KEY, when=variables_of(function)),
    }


def variables_of(function: str) -> dict[str, Any]:
    """Return the condition that ciphertext is of the function's variables, or of a published version's."""
    named = arn("lambda", f"function:<own>-{function}")
    return {"ArnLike": {"kms:EncryptionContext:aws:lambda:FunctionArn": [named, f"{named}:*"]}}


DATA_KEY = arn("kms", "key/<data-key>")
COORDINATOR = arn("lambda", "function:<own>-coordinator:*")
TABLE = arn("dynamodb", "table/<shared>-sessions")
HISTORY_QUEUE = arn("sqs", "<own>-if-agent-results.fifo")
API_KEY = arn("secretsmanager", "secret:<shared>-anthropic-api-key-AbCdEf")
REGISTRY = allow("ReadRegistry", "s3:GetObject", on=bucket("state", "/registry/keys.json"))
RECORD = allow("Record", "sqs:SendMessage", on=HISTORY_QUEUE)


def find(sid: str, prefix: str) -> Statements:
    return allow(sid, "s3:ListBucket", on=results(""), when={"StringLike": {"s3:prefix": [prefix]}})


READ_RESULTS = {
    **allow("ReadResults", "s3:GetObject", on=results("/sessions/*")),
    **find("FindResults", "sessions/*"),
}
LIST_SESSIONS = allow("ListSessions", "dynamodb:Query", on=f"{TABLE}/index/by_created")
LIST_BY_OWNER = allow(
    "ListSessions", "dynamodb:Query", on=[f"{TABLE}/index/{name}" for name in ("by_created", "by_owner")]
)
START_SESSION = allow("StartSession", "lambda:InvokeFunction", on=arn("lambda", "function:<own>-coordinator:live"))
READ_API_KEY = {**allow("ReadApiKey", "secretsmanager:GetSecretValue", on=API_KEY), **use_data_key("secretsmanager")}
KEYS = "arn:aws:kms:*:<account>:key/*"


def alias(name: str) -> dict[str, Any]:
    return {"ForAnyValue:StringEquals": {"kms:ResourceAliases": [f"alias/infrafabric-pulumi{name}"]}}


STATE_BUCKET = "arn:aws:s3:::infrafabric-pulumi-<account>-*"
STATE_STACKS = f"{STATE_BUCKET}/.pulumi/stacks/infrafabric"
READ_STATE = {
    **allow("DecryptSecrets", "kms:Decrypt", on=KEYS, when=alias("-prod")),
    **allow(
        "DecryptState",
        "kms:Decrypt",
        on=KEYS,
        when={**alias(""), "StringLike": {"kms:ViaService": ["s3.*.amazonaws.com"]}},
    ),
}
READABLE = [
    f"{STATE_BUCKET}/.pulumi/meta.yaml",
    f"{STATE_STACKS}/<stack>.pulumi-tags",
    *(f"{STATE_STACKS}/{name}.json{ending}" for name in ("<stack>", "<primary>") for ending in ("", ".gz", ".zst")),
]
WRITABLE = [
    f"{STATE_STACKS}/<stack>.json*",
    f"{STATE_STACKS}/<stack>.pulumi-tags",
    f"{STATE_BUCKET}/.pulumi/history/infrafabric/<stack>/*",
    f"{STATE_BUCKET}/.pulumi/backups/infrafabric/<stack>/*",
    f"{STATE_BUCKET}/.pulumi/locks/organization/infrafabric/<stack>/*",
]
OWN_BUCKETS = "arn:aws:s3:::<own>-*"
LISTS = ("s3:ListBucket", "s3:ListBucketVersions")


def deny_but(sid: str, *actions: str, but: list[str]) -> Statements:
    """Return a statement that denies on every resource but some."""
    return {sid: {"Effect": "Deny", "Action": sorted(actions), "NotResource": sorted(but), "Condition": {}}}


def no_other_environment(other: str) -> Statements:
    tags = {"aws:ResourceTag/Environment": [other], "aws:ResourceTag/Project": ["infrafabric"]}
    return statement("NoOtherEnvironment", "Deny", ["*"], "*", {"StringEquals": tags})


INVOKE = ("bedrock:InvokeModel", "bedrock:InvokeModelWithResponseStream")
PROFILE = arn("bedrock", "inference-profile/eu.anthropic.claude-haiku-5-5")
INSIDE_VPC = {
    **allow("SeeInterfaces", "ec2:DescribeNetworkInterfaces", "ec2:DescribeSubnets", on="*"),
    **allow(
        "MakeInterfaces",
        "ec2:CreateNetworkInterface",
        on=[arn("ec2", f"{kind}/*") for kind in ("network-interface", "subnet", "security-group")],
    ),
    **allow(
        "KeepInterfaces",
        "ec2:AssignPrivateIpAddresses",
        "ec2:DeleteNetworkInterface",
        "ec2:UnassignPrivateIpAddresses",
        on=arn("ec2", "*/*"),
    ),
}

AGENT = {  # without the model and the history queue, which a stack may lack
    **allow(
        "Consume",
        "sqs:DeleteMessage",
        "sqs:GetQueueAttributes",
        "sqs:ReceiveMessage",
        on=arn("sqs", "<own>-h01-inbox"),
    ),
    **allow("PutBack", "sqs:SendMessage", on=arn("sqs", "<own>-h01-inbox")),
    **allow("Hasten", "sqs:ChangeMessageVisibility", on=arn("sqs", "<own>-h01-inbox")),
    **allow("Refuse", "sqs:SendMessage", on=arn("sqs", "<own>-h01-inbox-dlq")),
    **allow("SignAsH01", "kms:GetPublicKey", "kms:Sign", on=arn("kms", "key/keys-h01")),
    **allow(
        "Lease",
        "dynamodb:DeleteItem",
        "dynamodb:GetItem",
        "dynamodb:UpdateItem",
        on=arn("dynamodb", "table/<own>-leases-h01"),
    ),
    **REGISTRY,
    **allow("OwnResults", "s3:GetObject", "s3:PutObject", on=results("/sessions/*/agents/h01/*")),
    **find("FindOwnResults", "sessions/*/agents/h01/*"),
    **allow("FetchClaims", "s3:GetObject", on=results("/claim-check/*")),
    **find("FindClaims", f"claim-check/??/{'?' * 64}.json"),
    **allow(
        "CompleteCallbacks",
        "lambda:SendDurableExecutionCallbackFailure",
        "lambda:SendDurableExecutionCallbackHeartbeat",
        "lambda:SendDurableExecutionCallbackSuccess",
        on=COORDINATOR,
    ),
    **use_data_key("dynamodb", "s3"),
    **run("h01"),
}
COORDINATE = {
    **allow("Checkpoint", "lambda:CheckpointDurableExecution", "lambda:GetDurableExecutionState", on=COORDINATOR),
    **allow("StartChildren", "lambda:InvokeFunction", on=COORDINATOR),
    **allow("Refuse", "sqs:SendMessage", on=arn("sqs", "<own>-coordinator-dlq")),
    **allow("Publish", "sns:Publish", on=arn("sns", "<own>-bus")),
    **allow("SignAsCoordinator", "kms:GetPublicKey", "kms:Sign", on=arn("kms", "key/keys-coordinator")),
    **allow("ReadBreakers", "dynamodb:BatchGetItem", on=arn("dynamodb", "table/<own>-leases-h*")),
    **allow("Sessions", "dynamodb:GetItem", "dynamodb:PutItem", "dynamodb:Query", "dynamodb:UpdateItem", on=TABLE),
    **REGISTRY,
    **READ_RESULTS,
    **allow("WriteReport", "s3:PutObject", on=[results("/sessions/*/report.json"), results("/sessions/*/rounds/*")]),
    **allow("LeaveClaims", "s3:PutObject", on=results("/claim-check/*")),
    **use_data_key("sns", "dynamodb", "s3"),
    **run("coordinator"),
}
SERVE_API = {
    **START_SESSION,
    **allow("WakeSession", "lambda:SendDurableExecutionCallbackSuccess", on=COORDINATOR),
    **allow("Sessions", "dynamodb:GetItem", "dynamodb:PutItem", "dynamodb:Query", "dynamodb:UpdateItem", on=TABLE),
    **LIST_BY_OWNER,
    **READ_RESULTS,
    **allow("DescribeTopic", "sns:GetTopicAttributes", on=arn("sns", "<own>-bus")),
    **allow("DescribeKeyOfCoordinator", "kms:DescribeKey", on=arn("kms", "key/keys-coordinator")),
    **use_data_key("dynamodb", "s3"),
    **run("api"),
}

# Dev without a database, asking Bedrock: for the agents by an inference profile, for the coordinator by a model's id.
BARE_ROLES = {
    "agents-h01": {
        **AGENT,
        **allow("AskModel", *INVOKE, on=PROFILE),
        **allow(
            "AskModelThroughProfile",
            *INVOKE,
            on="arn:aws:bedrock:*::foundation-model/anthropic.claude-haiku-5-5",
            when={"StringEquals": {"bedrock:InferenceProfileArn": [PROFILE]}},
        ),
    },
    "coordinator": {
        **COORDINATE,
        **allow("AskModel", *INVOKE, on="arn:aws:bedrock:<region>::foundation-model/anthropic.sonnet-x"),
    },
    "api": SERVE_API,
}
ROLES = {
    "agents-h01": {**AGENT, **READ_API_KEY},
    "coordinator": {**COORDINATE, **READ_API_KEY, **RECORD},
    "api": {**SERVE_API, **allow("SeeApiKey", "secretsmanager:DescribeSecret", on=API_KEY)},
    "api-account-logs": {},
    "recorder": {
        **INSIDE_VPC,
        **allow("Connect", "rds-db:connect", on=arn("rds-db", "dbuser:db-MOCK/recorder")),
        **REGISTRY,
        **allow("Consume", "sqs:DeleteMessage", "sqs:GetQueueAttributes", "sqs:ReceiveMessage", on=HISTORY_QUEUE),
        **allow("Hasten", "sqs:ChangeMessageVisibility", on=HISTORY_QUEUE),
        **allow("Refuse", "sqs:SendMessage", on=arn("sqs", "<own>-if-agent-results-dlq.fifo")),
        **use_data_key("s3"),
        **run("recorder"),
    },
    "migrator": {
        **INSIDE_VPC,
        **allow(
            "ReadMasterSecret",
            "secretsmanager:GetSecretValue",
            on=arn("secretsmanager", "secret:<shared>-database-master-AbCdEf"),
        ),
        **use_data_key("secretsmanager"),
        **run("migrator"),
    },
    "watchdog": {
        **allow("Sessions", "dynamodb:GetItem", "dynamodb:UpdateItem", on=TABLE),
        **LIST_SESSIONS,
        **START_SESSION,
        **allow("SeeExecutions", "lambda:GetDurableExecution", on=COORDINATOR),
        **allow("Refuse", "sqs:SendMessage", on=arn("sqs", "<own>-watchdog-dlq")),
        **use_data_key("dynamodb"),
        **run("watchdog"),
    },
    "network-flow": {
        **allow(
            "WriteFlowLogs",
            "logs:CreateLogStream",
            "logs:DescribeLogStreams",
            "logs:PutLogEvents",
            on=arn("logs", "log-group:/aws/vpc/<own>-flow:*"),
        ),
        **allow("ListLogGroups", "logs:DescribeLogGroups", on=arn("logs", "log-group:*")),
    },
}
# RDS manages dev's master password, so RDS names the secret.
RDS_ROLES = {
    **ROLES,
    "migrator": {
        **ROLES["migrator"],
        **allow(
            "ReadMasterSecret",
            "secretsmanager:GetSecretValue",
            on=arn("secretsmanager", "secret:rds!database-instance"),
        ),
    },
}
APP_ROLES = {
    "face-app": {
        **allow("BecomeOneTenant", "sts:AssumeRole", "sts:TagSession", on=iam("role/<own>-tenant")),
        **allow("ReadAppArtifacts", "s3:GetObject", on=bucket("assets", "/app/*", stack="<shared>")),
        **use_data_key("s3"),
    },
    "face-app-tenant": {
        **allow(
            "OwnTenantsObjects", "s3:GetObject", "s3:PutObject", on=results("/tenants/${aws:PrincipalTag/tenant}/*")
        ),
        **allow(
            "ListOwnTenant",
            "s3:ListBucket",
            on=results(""),
            when={"StringLike": {"s3:prefix": ["tenants/${aws:PrincipalTag/tenant}/*"]}},
        ),
        **use_data_key("s3"),
    },
}
REPLICATED = [bucket(label, region=region) for label in ("results", "assets") for region in ("<region>", "us-west-2")]
REPLICATED_OBJECTS = [f"{bucket_arn}/*" for bucket_arn in REPLICATED]
USE_KEY = ("kms:Decrypt", "kms:Encrypt", "kms:GenerateDataKey")
REPLICATION_ROLES = {
    "storage-replication": {
        **allow("SeeWhatToCopy", "s3:GetReplicationConfiguration", "s3:ListBucket", on=REPLICATED),
        **allow(
            "ReadVersions",
            "s3:GetObjectVersionAcl",
            "s3:GetObjectVersionForReplication",
            "s3:GetObjectVersionTagging",
            on=REPLICATED_OBJECTS,
        ),
        **allow("WriteCopies", "s3:ReplicateDelete", "s3:ReplicateObject", "s3:ReplicateTags", on=REPLICATED_OBJECTS),
        **allow("UseDataKeyHere", *USE_KEY, on=DATA_KEY, when=through("s3")),
        **allow(
            "UseDataKeyThere",
            *USE_KEY,
            on="arn:aws:kms:us-west-2:<account>:key/keys-data-copy",
            when={"StringEquals": {"kms:ViaService": ["s3.us-west-2.amazonaws.com"]}},
        ),
    },
}
CONFIG_ROLES = {
    "config": {
        **allow("LookAtBucket", "s3:GetBucketAcl", "s3:ListBucket", on=bucket("config")),
        **allow(
            "WriteHistory",
            "s3:PutObject",
            "s3:PutObjectAcl",
            on=bucket("config", "/config/AWSLogs/<account>/*"),
        ),
        **use_data_key("s3"),
    },
}
NO_DATA = {
    **deny(
        "NoData",
        "dynamodb:BatchGetItem",
        "dynamodb:GetItem",
        "dynamodb:GetRecords",
        "dynamodb:PartiQLSelect",
        "dynamodb:Query",
        "dynamodb:Scan",
        "lambda:GetDurableExecution",
        "lambda:GetDurableExecutionHistory",
        "lambda:GetDurableExecutionState",
        "rds:DownloadCompleteDBLogFile",
        "rds:DownloadDBLogFilePortion",
        "sqs:ReceiveMessage",
        on=[
            "arn:aws:dynamodb:*:*:table/*",
            "arn:aws:lambda:*:*:function:*",
            "arn:aws:rds:*:*:db:*",
            "arn:aws:sqs:*:*:*",
        ],
    ),
    **deny(
        "NoLogs",
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
        on="*",
    ),
}
PASSED_TO = ["apigateway", "backup", "config", "ec2", "lambda", "s3", "vpc-flow-logs"]
LINKED_ROLES = "role/aws-service-role/autoscaling.amazonaws.com"
GITHUB_ROLES = {
    "github-deploy": {
        **allow(
            "CreateRoles",
            "iam:CreateRole",
            on=iam("role/<own>-*"),
            when={
                "StringEquals": {
                    "iam:PermissionsBoundary": [iam("policy/<own>-boundary")],
                    "aws:RequestTag/Stack": ["<stack>"],
                }
            },
        ),
        **allow(
            "GrantWithinTheBoundary",
            "iam:AttachRolePolicy",
            "iam:DeleteRolePolicy",
            "iam:DetachRolePolicy",
            "iam:PutRolePermissionsBoundary",
            "iam:PutRolePolicy",
            on=iam("role/<own>-*"),
            when={"StringEquals": {"iam:PermissionsBoundary": [iam("policy/<own>-boundary")]}},
        ),
        **allow(
            "KeepRoles",
            "iam:DeleteRole",
            "iam:UntagRole",
            "iam:UpdateAssumeRolePolicy",
            "iam:UpdateRole",
            on=iam("role/<own>-*"),
            when={"StringEquals": {"aws:ResourceTag/Stack": ["<stack>"]}},
        ),
        **allow(
            "TagRoles",
            "iam:TagRole",
            on=iam("role/<own>-*"),
            when={
                "StringEquals": {"aws:ResourceTag/Stack": ["<stack>"]},
                "StringEqualsIfExists": {"aws:RequestTag/Stack": ["<stack>"]},
            },
        ),
        **allow(
            "TagNewRoles",
            "iam:TagRole",
            on=iam("role/<own>-*"),
            when={
                "StringEquals": {"aws:RequestTag/Stack": ["<stack>"]},
                "Null": {"aws:ResourceTag/Project": ["true"]},
            },
        ),
        **allow(
            "SeeRoles",
            "iam:GetRole",
            "iam:GetRolePolicy",
            "iam:ListAttachedRolePolicies",
            "iam:ListInstanceProfilesForRole",
            "iam:ListRolePolicies",
            on=iam("role/<own>-*"),
        ),
        **allow(
            "KeepInstanceProfiles",
            "iam:AddRoleToInstanceProfile",
            "iam:CreateInstanceProfile",
            "iam:DeleteInstanceProfile",
            "iam:GetInstanceProfile",
            "iam:RemoveRoleFromInstanceProfile",
            "iam:TagInstanceProfile",
            "iam:UntagInstanceProfile",
            on=[iam("role/<own>-*"), iam("instance-profile/<own>-*")],
        ),
        **allow(
            "KeepServiceLinkedRoles",
            "iam:CreateServiceLinkedRole",
            "iam:DeleteServiceLinkedRole",
            "iam:GetRole",
            "iam:GetServiceLinkedRoleDeletionStatus",
            "iam:TagRole",
            "iam:UpdateRole",
            on=iam(f"{LINKED_ROLES}/*_<own>-*"),
        ),
        **allow(
            "PassServiceLinkedRole",
            "iam:PassRole",
            on=iam(f"{LINKED_ROLES}/AWSServiceRoleForAutoScaling_<shared>-app"),
            when={"StringEquals": {"iam:PassedToService": ["autoscaling.amazonaws.com"]}},
        ),
        **allow(
            "PassRoles",
            "iam:PassRole",
            on=iam("role/<own>-*"),
            when={"StringEquals": {"iam:PassedToService": [f"{name}.amazonaws.com" for name in PASSED_TO]}},
        ),
        **allow(
            "SeeTheBoundary",
            "iam:GetPolicy",
            "iam:GetPolicyVersion",
            "iam:ListPolicyVersions",
            on=iam("policy/<own>-boundary"),
        ),
        **allow(
            "SeeTheProvider",
            "iam:GetOpenIDConnectProvider",
            on=iam("oidc-provider/token.actions.githubusercontent.com"),
        ),
        **deny(
            "NotItself",
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
            on=iam("role/infrafabric-*-github-*"),
        ),
        **deny_but("NoOtherLists", *LISTS, but=[STATE_BUCKET, OWN_BUCKETS]),
        **deny_but("NoOtherReads", "s3:GetObject", "s3:GetObjectVersion", but=[OWN_BUCKETS, *READABLE, *WRITABLE]),
        **deny_but(
            "NoOtherWrites",
            "s3:DeleteBucket",
            "s3:DeleteBucketPolicy",
            "s3:DeleteObject",
            "s3:DeleteObjectVersion",
            "s3:PutBucketPolicy",
            "s3:PutBucketVersioning",
            "s3:PutEncryptionConfiguration",
            "s3:PutLifecycleConfiguration",
            "s3:PutObject",
            "s3:PutReplicationConfiguration",
            but=[OWN_BUCKETS, *WRITABLE],
        ),
        **statement("NoOtherSecrets", "Deny", ["kms:*"], KEYS, alias("-dev")),
        **statement(
            "NoStateKeyButThroughS3",
            "Deny",
            ["kms:*"],
            KEYS,
            {**alias(""), "StringNotLike": {"kms:ViaService": ["s3.*.amazonaws.com"]}},
        ),
        "OnlyUseOwnSecretsKey": {
            "Effect": "Deny",
            "NotAction": ["kms:Decrypt", "kms:DescribeKey", "kms:Encrypt", "kms:GenerateDataKey"],
            "Resource": [KEYS],
            "Condition": alias("-prod"),
        },
        **deny(
            "NoOtherAliases",
            "kms:CreateAlias",
            "kms:DeleteAlias",
            "kms:UpdateAlias",
            on="arn:aws:kms:*:<account>:alias/infrafabric-pulumi*",
        ),
        **no_other_environment("dev"),
    },
    "github-drift": {
        **READ_STATE,
        **deny_but("NoOtherLists", *LISTS, but=[STATE_BUCKET, OWN_BUCKETS]),
        **deny_but("NoOtherObjects", "s3:GetObject", but=[*READABLE, f"{OWN_BUCKETS}/*"]),
        **deny_but("NoOldObjects", "s3:GetObjectVersion", but=[f"{OWN_BUCKETS}/*"]),
        **allow("CompareSecrets", "secretsmanager:GetSecretValue", on=arn("secretsmanager", "secret:<own>-*")),
        **allow("DecryptValues", "kms:Decrypt", on=DATA_KEY, when=through("lambda", "secretsmanager")),
        **NO_DATA,
        **no_other_environment("dev"),
    },
    "github-preview": {
        **READ_STATE,
        **deny_but("NoOtherLists", *LISTS, but=[STATE_BUCKET]),
        **deny_but("NoOtherObjects", "s3:GetObject", but=READABLE),
        **deny("NoOldObjects", "s3:GetObjectVersion", on="*"),
        **deny(
            "NoContent",
            "apigateway:GET",
            "secretsmanager:GetSecretValue",
            "ssm:GetParameter",
            "ssm:GetParameterHistory",
            "ssm:GetParameters",
            "ssm:GetParametersByPath",
            on=[
                "arn:aws:apigateway:*::/apikeys",
                "arn:aws:apigateway:*::/apikeys/*",
                "arn:aws:secretsmanager:*:*:secret:*",
                "arn:aws:ssm:*:*:parameter/*",
            ],
        ),
        **NO_DATA,
    },
}
BACKUP_ROLES: dict[str, Statements] = {"backups": {}}

RIGHTS = {
    "dev": RDS_ROLES,
    "prod": {**ROLES, **APP_ROLES, **REPLICATION_ROLES, **BACKUP_ROLES},
    "standby": ROLES,
    "lavish": {**ROLES, **APP_ROLES, **REPLICATION_ROLES, **BACKUP_ROLES, **CONFIG_ROLES, **GITHUB_ROLES},
    "frugal": {**ROLES, **APP_ROLES, **BACKUP_ROLES, **GITHUB_ROLES},
    "bare": BARE_ROLES,
    "taken_over": {**ROLES, **APP_ROLES, **GITHUB_ROLES},
}
STANDBYS = ("standby", "taken_over")
# AWS's own policies, by role; a comment where each is attached says why.
MANAGED = {
    "api-account-logs": {"service-role/AmazonAPIGatewayPushToCloudWatchLogs"},
    "backups": {
        "service-role/AWSBackupServiceRolePolicyForBackup",
        "service-role/AWSBackupServiceRolePolicyForRestores",
    },
    "config": {"service-role/AWS_ConfigRole"},
    "face-app": {"AmazonSSMManagedInstanceCore"},
    "github-deploy": {"PowerUserAccess"},
    "github-drift": {"ReadOnlyAccess"},
    "github-preview": {"ReadOnlyAccess"},
}
# Boundary: allows nothing by itself, because a role needs a grant as well.
BOUNDARY = {
    **allow("WhatIsGranted", "*", on="*"),
    **deny(
        "NoEscalation",
        "iam:Add*",
        "iam:Attach*",
        "iam:Create*",
        "iam:Delete*",
        "iam:Detach*",
        "iam:Put*",
        "iam:Set*",
        "iam:Update*",
        "iam:Upload*",
        on="*",
    ),
    **deny(
        "NoLeaving",
        "account:CloseAccount",
        "account:DisableRegion",
        "account:EnableRegion",
        "organizations:DeleteOrganization",
        "organizations:LeaveOrganization",
        "organizations:RemoveAccountFromOrganization",
        on="*",
    ),
    **deny(
        "NoDisarming",
        "backup:DeleteBackupVault",
        "backup:DeleteBackupVaultLockConfiguration",
        "backup:DeleteRecoveryPoint",
        "backup:PutBackupVaultLockConfiguration",
        "budgets:ModifyBudget",
        "ce:DeleteAnomaly*",
        "ce:UpdateAnomaly*",
        "cloudtrail:DeleteTrail",
        "cloudtrail:PutEventSelectors",
        "cloudtrail:StopLogging",
        "cloudtrail:UpdateTrail",
        "cloudwatch:DeleteAlarms",
        "cloudwatch:DisableAlarmActions",
        "config:DeleteConfigurationRecorder",
        "config:DeleteDeliveryChannel",
        "config:StopConfigurationRecorder",
        "ec2:DisableEbsEncryptionByDefault",
        "guardduty:DeleteDetector",
        "guardduty:UpdateDetector",
        "kms:DisableKey",
        "kms:ScheduleKeyDeletion",
        "s3:BypassGovernanceRetention",
        "s3:PutAccountPublicAccessBlock",
        "securityhub:DisableSecurityHub",
        on="*",
    ),
    **deny("NoPulumiState", "s3:*", on=[STATE_BUCKET, f"{STATE_BUCKET}/*"]),
    **statement(
        "NoPulumiKeys",
        "Deny",
        ["kms:*"],
        "*",
        {"ForAnyValue:StringLike": {"kms:ResourceAliases": ["alias/infrafabric-pulumi*"]}},
    ),
    **no_other_environment("<other environment>"),
    "NoOtherRegion": {
        "Effect": "Deny",
        "NotAction": [
            "bedrock:InvokeModel",
            "bedrock:InvokeModelWithResponseStream",
            "budgets:*",
            "ce:*",
            "cloudfront:*",
            "health:*",
            "iam:*",
            "organizations:*",
            "route53:*",
            "s3:GetAccountPublicAccessBlock",
            "s3:ListAllMyBuckets",
            "sts:*",
            "support:*",
        ],
        "Resource": ["*"],
        "Condition": {"Null": {"aws:RequestedRegion": ["false"]}, "StringNotEquals": {"aws:RequestedRegion": []}},
    },
}
BOUNDARY_REGIONS = {
    "dev": ["us-east-1"],
    "prod": ["us-east-1", "us-west-2"],
    "standby": ["us-east-1", "us-west-2"],
    "lavish": ["us-east-1", "us-west-2"],
    "frugal": ["eu-west-1", "us-west-2"],
    "bare": [],  # no boundary
    "taken_over": ["us-east-1", "us-west-2"],
}


class Rights:
    """Policies of one stack's roles, in the form of the list above: the agents' numbers collapsed to h01."""

    def __init__(self, estate: Estate, *, standby: bool) -> None:
        self._estate = estate
        (own,) = {name.removesuffix("-api") for name in self._names() if name.endswith("-api")}
        shared = own.removesuffix("-secondary") if standby else own
        key = "keys-data-copy" if standby else "keys-data"
        self._values = {
            "<own>": own,
            "<shared>": shared,
            "<region>": estate.region,
            "<account>": "123456789012",
            "<data-key>": key,
            "<stack>": own.removeprefix("infrafabric-"),
            "<primary>": shared.removeprefix("infrafabric-"),
            "<other environment>": "prod" if own == "infrafabric-dev" else "dev",
        }

    def _names(self) -> dict[str, str]:
        """Logical name of each role without -role, by physical name."""
        return {r["name"]: name.removesuffix("-role") for name, r in self._estate.of("iam/role:Role").items()}

    def expected(self, listed: Any) -> Any:
        text = json.dumps(listed)
        for placeholder, value in self._values.items():
            text = text.replace(placeholder, value)
        return _sorted(json.loads(text))

    def granted(self) -> dict[str, Statements]:
        """Inline statements by role; empty for a role with AWS's own policies alone."""
        names = self._names()
        found: dict[str, Statements] = {name: {} for name in names.values()}
        for policy in self._estate.of("iam/rolePolicy:RolePolicy").values():
            found[names[policy["role"]]].update(normal(policy["policy"]))
        return found

    def managed(self) -> dict[str, set[str]]:
        """AWS's own policies by role."""
        names, found = self._names(), defaultdict(set)
        for attachment in self._estate.of("iam/rolePolicyAttachment:RolePolicyAttachment").values():
            found[names[attachment["role"]]].add(attachment["policyArn"].removeprefix("arn:aws:iam::aws:policy/"))
        return dict(found)


def normal(document: str) -> Statements:
    """Statements of a policy by Sid: every action, resource and condition value as a sorted list."""
    statements = {}
    for written in json.loads(document)["Statement"]:
        condition = {
            operator: {key: sorted(as_list(value)) for key, value in keys.items()}
            for operator, keys in (written.get("Condition") or {}).items()
        }
        keys = ("Action", "NotAction", "Resource", "NotResource")
        lists = {key: sorted(as_list(written[key])) for key in keys if key in written}
        assert written["Sid"] not in statements, "a Sid stands once in a policy"
        statements[written["Sid"]] = {"Effect": written["Effect"], **lists, "Condition": condition}
    return statements


def _sorted(listed: Any) -> Any:
    """Return ``listed`` with every list sorted, and without the entries of a primary that is the stack itself."""
    if isinstance(listed, dict):
        return {key: _sorted(value) for key, value in listed.items()}
    return sorted(set(listed)) if isinstance(listed, list) else listed


def as_list(value: Any) -> list[str]:
    return value if isinstance(value, list) else [value]


def as_h01(role: str, statements: Statements) -> Statements:
    agent = role.removeprefix("agents-")
    text = json.dumps(statements).replace(agent, "h01").replace(agent.title(), "H01")
    return json.loads(text)


@pytest.mark.parametrize("stack", RIGHTS)
def test_every_role_has_exactly_the_listed_rights(request, stack):
    """The list is complete: a new role, statement, action, resource or condition fails here until it is listed."""
    rights = Rights(request.getfixturevalue(stack), standby=stack in STANDBYS)
    granted, expected = rights.granted(), rights.expected(RIGHTS[stack])
    agents = {role: as_h01(role, granted.pop(role)) for role in sorted(granted) if role.startswith("agents-")}
    agent_rights = expected.pop("agents-h01")
    assert granted.keys() == expected.keys(), "every role is in the list, and every listed role is there"
    for role, statements in granted.items():
        assert statements == expected[role], role
    for role, statements in agents.items():
        assert statements == agent_rights, role
    assert agents, "a fleet has at least one agent"


@pytest.mark.parametrize("stack", RIGHTS)
def test_every_role_has_exactly_the_listed_policies_of_aws(request, stack):
    rights = Rights(request.getfixturevalue(stack), standby=stack in STANDBYS)
    assert rights.managed() == {role: policies for role, policies in MANAGED.items() if role in RIGHTS[stack]}


@pytest.mark.parametrize("stack", RIGHTS)
def test_the_boundary_denies_exactly_what_is_listed_and_is_the_only_managed_policy_of_ours(request, stack):
    documents = request.getfixturevalue(stack).of("iam/policy:Policy")
    regions = BOUNDARY_REGIONS[stack]
    assert set(documents) == ({"boundary-policy"} if regions else set())
    for document in documents.values():
        expected = Rights(request.getfixturevalue(stack), standby=stack in STANDBYS).expected(BOUNDARY)
        expected["NoOtherRegion"]["Condition"]["StringNotEquals"]["aws:RequestedRegion"] = regions
        assert normal(document["policy"]) == expected


@pytest.mark.parametrize("stack", RIGHTS)
def test_no_identity_gets_rights_by_another_way(request, stack):
    """Users, groups and policies within a role would escape the list."""
    estate = request.getfixturevalue(stack)
    kinds = {type_.removeprefix("aws:iam/") for type_, _, _ in estate.resources if type_.startswith("aws:iam/")}
    assert kinds <= {
        "accountPasswordPolicy:AccountPasswordPolicy",
        "instanceProfile:InstanceProfile",
        "openIdConnectProvider:OpenIdConnectProvider",
        "policy:Policy",
        "role:Role",
        "rolePolicy:RolePolicy",
        "rolePolicyAttachment:RolePolicyAttachment",
        "serviceLinkedRole:ServiceLinkedRole",
    }
    for name, role in estate.of("iam/role:Role").items():
        assert not {"inlinePolicies", "managedPolicyArns"} & set(role), name


def test_lambda_may_keep_interfaces_when_it_asks_before_there_is_one(primary):
    """Lambda tests the role on no particular interface first; a policy that names interfaces fails the test."""
    for role in ("recorder", "migrator"):
        kept = primary.granted(role)["KeepInterfaces"]
        assert "ec2:DeleteNetworkInterface" in kept["Action"]
        assert kept["Resource"] == ["arn:aws:ec2:us-east-1:123456789012:*/*"]


def test_an_agent_has_no_right_on_any_table_but_its_own(primary):
    """Whoever writes the items of sessions decides what is believed, what is paid and what is ordered."""
    statements = [s for s in primary.granted("agents-h01").values() if any("dynamodb" in a for a in s["Action"])]
    (own,) = statements[0]["Resource"]
    assert (len(statements), own.rsplit("-", 2)[-2:]) == (1, ["leases", "h01"])


def test_the_previous_key_signs_until_it_is_retired(rotating):
    """Versions that run sessions know only the key of their deployment."""
    account = "arn:aws:kms:us-east-1:123456789012:key"
    assert rotating.granted("coordinator")["SignAsCoordinator"]["Resource"] == [
        f"{account}/keys-coordinator-g2",
        f"{account}/keys-coordinator",
    ]
    assert rotating.granted("agents-h01")["SignAsH01"]["Resource"] == [f"{account}/keys-h01-g4"]


def test_an_agent_signs_as_itself_alone(primary):
    for agent in ("h01", "h10"):
        signing = [s for s in primary.granted(f"agents-{agent}").values() if "kms:Sign" in s["Action"]]
        assert [s["Resource"] for s in signing] == [[f"arn:aws:kms:us-east-1:123456789012:key/keys-{agent}"]]


def test_nobody_can_write_the_key_registry(primary):
    registry = f"{primary.exports['state_bucket']}/registry/keys.json"
    for role in primary.of("iam/rolePolicy:RolePolicy"):
        for statement in primary.granted(role.removesuffix("-policy")).values():
            writes = [a for a in statement["Action"] if a.startswith("s3:") and a != "s3:GetObject"]
            hits = [r for r in statement["Resource"] if fnmatchcase(f"arn:aws:s3:::{registry}", r)]
            assert not (writes and hits), f"{role} {statement['Sid']}"


def test_the_keys_that_functions_use_are_the_ones_that_they_may_use(primary):
    """Grants name prefixes, and functions compute keys; the test holds both together."""
    bucket = f"arn:aws:s3:::{primary.exports['results_bucket']}"

    def may(role: str, sid: str, key: str) -> bool:
        return any(fnmatchcase(f"{bucket}/{key}", pattern) for pattern in primary.granted(role)[sid]["Resource"])

    key = SessionKey("a-session.0123456789", "us-east-1")
    own, report, findings = result_key(key, "h01", "t001", 1), report_key(key), findings_key(key, 0, 0)
    claim = object_key("ab" * 32)
    assert may("agents-h01", "OwnResults", own)
    assert not may("agents-h02", "OwnResults", own)
    assert not any(may("agents-h01", "OwnResults", one) for one in (report, findings))
    assert may("coordinator", "ReadResults", own)
    assert all(may("coordinator", "WriteReport", one) for one in (report, findings))
    assert not may("coordinator", "WriteReport", own)
    assert may("api", "ReadResults", report)
    assert may("coordinator", "LeaveClaims", claim)
    assert may("agents-h01", "FetchClaims", claim)


def test_durable_executions_are_named_by_version_never_by_the_bare_function(primary):
    """An unqualified function ARN never matches an execution's ARN."""
    bare = "arn:aws:lambda:us-east-1:123456789012:function:"
    for role, sid in (("agents-h01", "CompleteCallbacks"), ("coordinator", "Checkpoint")):
        (resource,) = primary.granted(role)[sid]["Resource"]
        assert resource.startswith(bare)
        assert resource.endswith("-coordinator:*"), sid


def test_the_data_key_serves_only_through_the_services_that_hold_the_data(primary):
    for role in ("agents-h01", "coordinator", "api", "recorder", "migrator", "watchdog"):
        for sid, statement in primary.granted(role).items():
            uses = [action for action in statement["Action"] if action.startswith("kms:")]
            if uses and sid.startswith("UseDataKey"):
                assert "kms:ViaService" in statement["Condition"]["StringEquals"]


def test_bedrock_asks_one_model_through_its_profile_and_needs_no_key(bare):
    agent = bare.granted("agents-h01")
    through_profile = "arn:aws:bedrock:eu-central-1:123456789012:inference-profile/eu.anthropic.claude-haiku-5-5"
    assert agent["AskModel"]["Resource"] == [through_profile]
    assert agent["AskModelThroughProfile"]["Resource"] == [
        "arn:aws:bedrock:*::foundation-model/anthropic.claude-haiku-5-5"
    ]
    assert agent["AskModelThroughProfile"]["Condition"] == {
        "StringEquals": {"bedrock:InferenceProfileArn": through_profile}
    }
    assert bare.granted("coordinator")["AskModel"]["Resource"] == [
        "arn:aws:bedrock:eu-central-1::foundation-model/anthropic.sonnet-x"
    ]
    assert "ReadApiKey" not in agent
    assert not bare.of("secretsmanager/secret:Secret").keys() & {"model-api-key"}


@pytest.fixture
def role(stand_up):
    """Return a function that runs a program with a new role, on which a test calls grants."""
    from infra.iam.grants import Role

    def run(grant):
        def program():
            grant(Role("some", {"Name": "some"}, ResourceOptions(), service="lambda.amazonaws.com"))

        return stand_up(program)

    return run


def test_granting_again_adds_resources_to_the_statement_once(role):
    def grant(some):
        for resource in ("arn:a", "arn:b"):
            some.allow("Read", "s3:GetObject", on=resource)
        some.allow("Read", "s3:GetObject", on=["arn:b", "arn:c"])
        some.write_policy()

    (statement,) = role(grant).granted("some").values()
    assert statement["Resource"] == ["arn:a", "arn:b", "arn:c"]


def test_a_grant_after_the_policy_was_written_is_an_error_and_not_lost(role):
    def grant(some):
        some.write_policy()
        some.allow("Read", "s3:GetObject", on="arn:a")

    with pytest.raises(RuntimeError, match="grant it earlier"):
        role(grant)


def test_one_name_cannot_mean_two_things(role):
    def grant(some):
        some.allow("Read", "s3:GetObject", on="arn:a")
        some.allow("Read", "s3:PutObject", on="arn:a")

    with pytest.raises(ValueError, match="Read means"):
        role(grant)
