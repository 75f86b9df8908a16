"""AWS Config: history of the configuration of every resource in the region."""

from __future__ import annotations

from dataclasses import dataclass

import pulumi_aws as aws
from pulumi import ComponentResource, Output, ResourceOptions

from infra.foundation.bucket import Bucket, BucketArgs
from infra.foundation.foundation import Foundation
from infra.iam.grants import Role
from infra.naming.context import DataClass

PREFIX = "config"


@dataclass(frozen=True, kw_only=True)
class ConfigurationHistoryArgs:
    foundation: Foundation
    keep_days: int


class ConfigurationHistory(ComponentResource):
    """AWS Config recorder, which exists once per account and region, and its bucket."""

    def __init__(self, name: str, args: ConfigurationHistoryArgs, opts: ResourceOptions | None = None) -> None:
        super().__init__("infrafabric:guardrails:ConfigurationHistory", name, opts=opts)
        self._name, self._args, context = name, args, args.foundation.context
        # Not the audit bucket: AWS Config cannot write to a bucket with a default object lock.
        bucket = Bucket(f"{name}-history", self._bucket_args(), ResourceOptions(parent=self))
        role, ready = self._role(bucket)
        recorder = aws.cfg.Recorder(
            f"{name}-recorder",
            name=context.physical_name(PREFIX),
            role_arn=role.arn,
            recording_group={"all_supported": True, "include_global_resource_types": True},
            recording_mode={"recording_frequency": "CONTINUOUS"},
            opts=ResourceOptions(parent=self, depends_on=ready),
        )
        channel = aws.cfg.DeliveryChannel(
            f"{name}-channel",
            name=context.physical_name(PREFIX),
            s3_bucket_name=bucket.bucket_id,
            s3_key_prefix=PREFIX,
            s3_kms_key_arn=args.foundation.keys.data_arn,
            snapshot_delivery_properties={"delivery_frequency": "TwentyFour_Hours"},
            opts=ResourceOptions(parent=self, depends_on=[recorder, bucket.resource_policy]),
        )
        aws.cfg.RecorderStatus(
            f"{name}-on",
            name=recorder.name,
            is_enabled=True,
            opts=ResourceOptions(parent=self, depends_on=[channel]),  # a recorder needs a channel to start
        )
        self.register_outputs({})

    def _bucket_args(self) -> BucketArgs:
        foundation = self._args.foundation
        return BucketArgs(
            context=foundation.context,
            label=PREFIX,
            component="guardrails",
            data=DataClass.INTERNAL,
            kms_key_arn=foundation.keys.data_arn,
            expire_days={"": self._args.keep_days},
            logs_to=foundation.storage.logs,
        )

    def _role(self, bucket: Bucket) -> tuple[Role, list[aws.iam.RolePolicy | aws.iam.RolePolicyAttachment]]:
        foundation, child = self._args.foundation, ResourceOptions(parent=self)
        tags = foundation.context.tags("guardrails", DataClass.NONE, PREFIX)
        role = Role(self._name, tags, child, service="config.amazonaws.com")
        role.allow("LookAtBucket", "s3:GetBucketAcl", "s3:ListBucket", on=bucket.arn)
        below = Output.concat(bucket.arn, f"/{PREFIX}/AWSLogs/", foundation.context.account_id, "/*")
        # AWS Config sets the ACL bucket-owner-full-control on each object.
        role.allow("WriteHistory", "s3:PutObject", "s3:PutObjectAcl", on=below)
        foundation.keys.grant_use(role, "s3")
        reads = aws.iam.RolePolicyAttachment(
            f"{self._name}-reads",
            role=role.role_name,
            # AWS managed policy: reads every type that AWS Config supports, and AWS extends the policy for new types.
            policy_arn=f"arn:{foundation.context.partition}:iam::aws:policy/service-role/AWS_ConfigRole",
            opts=child,
        )
        return role, [role.write_policy(), reads]
