"""VPC flow logs, for the investigation of connections."""

from __future__ import annotations

from dataclasses import dataclass

import pulumi_aws as aws
from pulumi import ComponentResource, Input, Output, ResourceOptions

from infra.foundation.foundation import Foundation
from infra.iam.grants import Role
from infra.naming.context import DataClass


@dataclass(frozen=True, kw_only=True)
class FlowLogsArgs:
    foundation: Foundation
    vpc_id: Input[str]


class FlowLogs(ComponentResource):
    """VPC flow logs of all traffic, accepted and rejected, in a log group."""

    def __init__(self, name: str, args: FlowLogsArgs, opts: ResourceOptions | None = None) -> None:
        super().__init__("infrafabric:network:FlowLogs", name, opts=opts)
        child, tags = (
            ResourceOptions(parent=self),
            args.foundation.context.tags("network", DataClass.INTERNAL, "flow-logs"),
        )
        logs = aws.cloudwatch.LogGroup(
            f"{name}-logs",
            name=f"/aws/vpc/{args.foundation.context.physical_name('flow')}",
            retention_in_days=args.foundation.log_retention_days,
            kms_key_id=args.foundation.keys.data_arn,
            tags=tags,
            opts=child,
        )
        role = Role(name, tags, child, service="vpc-flow-logs.amazonaws.com")
        write = ("logs:CreateLogStream", "logs:DescribeLogStreams", "logs:PutLogEvents")
        role.allow("WriteFlowLogs", *write, on=Output.concat(logs.arn, ":*"))
        # Required by the VPC User Guide, "IAM role for publishing flow logs to CloudWatch Logs". A list of log groups
        # cannot be restricted to one group.
        role.allow("ListLogGroups", "logs:DescribeLogGroups", on=args.foundation.context.arn("logs", "log-group:*"))
        policy = role.write_policy()
        aws.ec2.FlowLog(
            f"{name}-log",
            vpc_id=args.vpc_id,
            traffic_type="ALL",
            log_destination_type="cloud-watch-logs",
            log_destination=logs.arn,
            iam_role_arn=role.arn,
            max_aggregation_interval=600,
            tags=tags,
            opts=ResourceOptions(parent=self, depends_on=[policy]),
        )
        self.register_outputs({"log_group_name": logs.name})
