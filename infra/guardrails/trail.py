"""CloudTrail audit log, in a bucket with an object lock."""

from __future__ import annotations

from dataclasses import dataclass

import pulumi_aws as aws
from pulumi import ComponentResource, Output, ResourceOptions

from infra.foundation.bucket import Bucket, BucketArgs
from infra.foundation.foundation import Foundation
from infra.iam import policies
from infra.naming.context import DataClass, StackContext

SERVICE = "cloudtrail.amazonaws.com"


@dataclass(frozen=True, kw_only=True)
class TrailArgs:
    foundation: Foundation  # the data key's policy must contain ``data_key_statement``
    keep_days: int


class Trail(ComponentResource):
    """CloudTrail trail of management events in all regions, with digests that reveal changes.

    The first trail of an account is free.
    """

    bucket_id: Output[str]

    def __init__(self, name: str, args: TrailArgs, opts: ResourceOptions | None = None) -> None:
        super().__init__("infrafabric:guardrails:Trail", name, opts=opts)
        context, keys = args.foundation.context, args.foundation.keys
        bucket = Bucket(
            f"{name}-audit",
            BucketArgs(
                context=context,
                label="audit",
                component="guardrails",
                data=DataClass.INTERNAL,
                kms_key_arn=keys.data_arn,
                expire_days={"": args.keep_days + 1},  # one day after the object lock ends
                lock_days=args.keep_days,
                logs_to=args.foundation.storage.logs,
                statements=_delivery(context),
            ),
            ResourceOptions(parent=self),
        )
        aws.cloudtrail.Trail(
            f"{name}-trail",
            name=context.physical_name("trail"),
            s3_bucket_name=bucket.bucket_id,
            kms_key_id=keys.data_arn,
            is_multi_region_trail=True,
            include_global_service_events=True,
            enable_log_file_validation=True,
            enable_logging=True,
            tags=context.tags("guardrails", DataClass.INTERNAL, "trail"),
            # CloudTrail tests the bucket at once.
            opts=ResourceOptions(parent=self, depends_on=[bucket.resource_policy]),
        )
        self.bucket_id = bucket.bucket_id
        self.register_outputs({"bucket_id": self.bucket_id})


def data_key_statement(context: StackContext) -> policies.Statement:
    """Return the key policy statement that lets CloudTrail encrypt the trail with the data key."""
    any_trail = context.account_id.apply(lambda account: f"arn:{context.partition}:cloudtrail:*:{account}:trail/*")
    return {
        "Sid": "TrailOfThisAccount",
        "Effect": "Allow",
        "Principal": {"Service": SERVICE},
        # CloudTrail needs Decrypt to create a trail on a bucket with a bucket key (AWS CloudTrail User Guide,
        # "Configure AWS KMS key policies for CloudTrail").
        "Action": ["kms:Decrypt", "kms:DescribeKey", "kms:GenerateDataKey*"],
        "Resource": "*",  # in a key policy "*" means the key itself
        "Condition": {
            "StringEquals": {"aws:SourceArn": _arn(context)},
            # DescribeKey has no encryption context.
            "StringLikeIfExists": {"kms:EncryptionContext:aws:cloudtrail:arn": any_trail},
        },
    }


def _arn(context: StackContext) -> Output[str]:
    return context.arn("cloudtrail", f"trail/{context.physical_name('trail')}")


def _delivery(context: StackContext) -> list[policies.Statement]:
    bucket = context.bucket_name("audit").apply(lambda name: f"arn:{context.partition}:s3:::{name}")
    source = {"aws:SourceArn": _arn(context)}
    service = {"Service": SERVICE}
    return [
        {
            "Sid": "TrailLooks",
            "Effect": "Allow",
            "Principal": service,
            "Action": "s3:GetBucketAcl",
            "Resource": bucket,
            "Condition": {"StringEquals": source},
        },
        {
            "Sid": "TrailWrites",
            "Effect": "Allow",
            "Principal": service,
            "Action": "s3:PutObject",
            "Resource": Output.concat(bucket, "/AWSLogs/", context.account_id, "/*"),
            "Condition": {"StringEquals": {**source, "s3:x-amz-acl": "bucket-owner-full-control"}},
        },
    ]
