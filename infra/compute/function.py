"""Lambda function with log group, version, alias ``live``, tracing and a role."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import pulumi_aws as aws
from pulumi import ComponentResource, Input, Output, Resource, ResourceOptions

from infra.compute.environment_size import check_size
from infra.foundation.foundation import Foundation
from infra.iam.grants import Role
from infra.naming.context import DataClass
from infra.network.attachment import Attachment
from infrafabric.operators.rollout import ALIAS

MOVED_BY_RELEASE = ["functionVersion", "routingConfig"]


@dataclass(frozen=True, kw_only=True)
class Durability:
    """Durable execution of a function; Lambda cannot add durability to an existing function."""

    execution_timeout_s: int
    retention_days: int  # retention of a finished execution's history


@dataclass(frozen=True, kw_only=True)
class FunctionArgs:
    foundation: Foundation
    role: Role  # with all grants; the function writes the role's policy
    label: str  # function name without the stack
    component: str
    handler: str
    environment: Mapping[str, Input[str]]
    # Longest value in bytes of a variable that is unknown in a preview and longer than an ARN.
    longest_values: Mapping[str, int] = field(default_factory=dict)
    timeout_s: int
    memory_mb: int
    ephemeral_storage_mb: int = 512
    attachment: Attachment | None = None
    durability: Durability | None = None
    snap_start: bool = False
    provisioned: int | None = None  # provisioned execution environments
    dead_letter_arn: Input[str] | None = None  # for failed asynchronous invocations
    # The alias moves with the deployment even with rollout by-steps: no client's calls would judge a new version.
    called_by_deployment: bool = False
    depends_on: Sequence[Resource] = field(default_factory=tuple)  # resources that the first invocation needs


class Function(ComponentResource):
    """Lambda function with log group, least-privilege role and the alias ``live``, which callers invoke."""

    arn: Output[str]
    function_name: Output[str]
    alias_arn: Output[str]
    alias_invoke_arn: Output[str]
    log_group_name: Output[str]

    def __init__(self, name: str, args: FunctionArgs, opts: ResourceOptions | None = None) -> None:
        super().__init__("infrafabric:compute:Function", name, opts=opts)
        self._name, self._args = name, args
        check_size(args.foundation.context.physical_name(args.label), args.environment, args.longest_values)
        logs = self._log_group()
        self._grant_runtime(logs)
        policy = args.role.write_policy()
        function = self._function(logs, [policy, *args.depends_on])
        by_steps = args.foundation.runtime.by_steps and not args.called_by_deployment
        alias = aws.lambda_.Alias(
            f"{name}-{ALIAS}",
            name=ALIAS,
            function_name=function.name,
            function_version=function.version,
            # With rollout by-steps the deployment creates the alias, and only fabric release moves the alias later.
            opts=ResourceOptions(parent=self, ignore_changes=MOVED_BY_RELEASE if by_steps else None),
        )
        if args.provisioned:
            aws.lambda_.ProvisionedConcurrencyConfig(
                f"{name}-ready",
                function_name=function.name,
                qualifier=alias.name,
                provisioned_concurrent_executions=args.provisioned,
                opts=ResourceOptions(parent=self),
            )
        self.arn, self.function_name = function.arn, function.name
        self.log_group_name = logs.name
        self.alias_arn, self.alias_invoke_arn = alias.arn, alias.invoke_arn
        self.alias_name = alias.name
        self.register_outputs({"arn": self.arn, "alias_arn": self.alias_arn})

    def _log_group(self) -> aws.cloudwatch.LogGroup:
        args = self._args
        return aws.cloudwatch.LogGroup(
            f"{self._name}-logs",
            name=f"/aws/lambda/{args.foundation.context.physical_name(args.label)}",
            retention_in_days=args.foundation.log_retention_days,
            kms_key_id=args.foundation.keys.data_arn,
            tags=args.foundation.context.tags(args.component, DataClass.INTERNAL, args.label),
            opts=ResourceOptions(parent=self),
        )

    def _grant_runtime(self, logs: aws.cloudwatch.LogGroup) -> None:
        """Grant the rights of every function: own log group, traces, and own environment variables."""
        role, keys = self._args.role, self._args.foundation.keys
        streams = Output.concat(logs.arn, ":*")
        role.allow("WriteLogs", "logs:CreateLogStream", "logs:PutLogEvents", on=streams)
        # X-Ray has no resource-level permissions for these two actions.
        role.allow("Trace", "xray:PutTelemetryRecords", "xray:PutTraceSegments", on="*")
        # Lambda decrypts the environment variables with the function's role, before the handler is loaded. The
        # encryption context is the function's ARN; AWS does not document whether it includes a published version.
        context = self._args.foundation.context
        arn = context.arn("lambda", f"function:{context.physical_name(self._args.label)}")
        own = {"ArnLike": {"kms:EncryptionContext:aws:lambda:FunctionArn": [arn, Output.concat(arn, ":*")]}}
        role.allow("ReadVariables", "kms:Decrypt", on=keys.data_arn, when=own)

    def _function(self, logs: aws.cloudwatch.LogGroup, after: Sequence[Resource]) -> aws.lambda_.Function:
        args, runtime = self._args, self._args.foundation.runtime
        attachment, durable = args.attachment, args.durability
        return aws.lambda_.Function(
            f"{self._name}-function",
            name=args.foundation.context.physical_name(args.label),
            role=args.role.arn,
            handler=args.handler,
            code=runtime.code,
            layers=[runtime.layer_arn],
            runtime=runtime.python,
            architectures=[runtime.architecture],
            timeout=args.timeout_s,
            memory_size=args.memory_mb,
            ephemeral_storage={"size": args.ephemeral_storage_mb},
            reserved_concurrent_executions=runtime.reserved_concurrency.get(args.label),
            environment={"variables": args.environment},
            kms_key_arn=args.foundation.keys.data_arn,
            logging_config={
                "log_format": "JSON",
                "log_group": logs.name,
                "application_log_level": "INFO",
                "system_log_level": "WARN",
            },
            tracing_config={"mode": "Active"},
            publish=True,
            snap_start={"apply_on": "PublishedVersions"} if args.snap_start else None,
            vpc_config=attachment
            and {"subnet_ids": attachment.subnet_ids, "security_group_ids": [attachment.security_group_id]},
            # Lambda deletes network interfaces long after the function, which would delay deleting the security group.
            replace_security_groups_on_destroy=True if attachment else None,
            durable_config=durable
            and {"execution_timeout": durable.execution_timeout_s, "retention_period": durable.retention_days},
            dead_letter_config=None if args.dead_letter_arn is None else {"target_arn": args.dead_letter_arn},
            tags=args.foundation.context.tags(args.component, DataClass.INTERNAL, args.label),
            opts=ResourceOptions(parent=self, depends_on=list(after)),
        )
