"""S3 replication between a bucket and its copy in the recovery region."""

from __future__ import annotations

from dataclasses import dataclass

import pulumi_aws as aws
from pulumi import ComponentResource, Output, ResourceOptions

from infra.foundation.bucket import Bucket
from infra.foundation.keys import Keys
from infra.iam.grants import Role
from infra.naming.context import DataClass, StackContext


@dataclass(frozen=True, kw_only=True)
class ReplicationArgs:
    context: StackContext
    keys: Keys
    region: str  # of the copies
    pairs: dict[str, tuple[Bucket, Bucket]]  # label → bucket and its copy


class Replication(ComponentResource):
    """S3 replication in both directions between buckets and their copies.

    Both directions, because after a failover the copies receive writes, and the failback must lose none of the writes.
    S3 does not replicate a replica, so the two directions form no loop.
    """

    def __init__(self, name: str, args: ReplicationArgs, opts: ResourceOptions | None = None) -> None:
        super().__init__("infrafabric:storage:Replication", name, opts=opts)
        tags = args.context.tags("storage", DataClass.NONE, "replication")
        role = Role(name, tags, ResourceOptions(parent=self), service="s3.amazonaws.com")
        buckets = [bucket.arn for pair in args.pairs.values() for bucket in pair]
        objects = [Output.concat(arn, "/*") for arn in buckets]
        role.allow("SeeWhatToCopy", "s3:GetReplicationConfiguration", "s3:ListBucket", on=buckets)
        read = ("s3:GetObjectVersionAcl", "s3:GetObjectVersionForReplication", "s3:GetObjectVersionTagging")
        role.allow("ReadVersions", *read, on=objects)
        role.allow("WriteCopies", "s3:ReplicateDelete", "s3:ReplicateObject", "s3:ReplicateTags", on=objects)
        args.keys.grant_copy(role, args.region)
        policy = role.write_policy()
        for label, (source, copy) in args.pairs.items():
            after = ResourceOptions(parent=self, depends_on=[policy, source.versions, copy.versions])
            _replicate(f"{name}-{label}-out", source, copy, args.keys.copied_data_arn, role, None, after)
            _replicate(f"{name}-{label}-back", copy, source, args.keys.data_arn, role, args.region, after)
        self.register_outputs({"role_arn": role.arn})


def _replicate(
    name: str, source: Bucket, copy: Bucket, key_arn: Output[str], role: Role, region: str | None, opts: ResourceOptions
) -> None:
    everything: aws.s3.BucketReplicationConfigRuleArgsDict = {
        "id": "everything",
        "status": "Enabled",
        "priority": 0,
        "filter": {"prefix": ""},
        "delete_marker_replication": {"status": "Enabled"},
        "source_selection_criteria": {
            "sse_kms_encrypted_objects": {"status": "Enabled"},
            "replica_modifications": {"status": "Enabled"},
        },
        "destination": {"bucket": copy.arn, "encryption_configuration": {"replica_kms_key_id": key_arn}},
    }
    aws.s3.BucketReplicationConfig(
        name, region=region, role=role.arn, bucket=source.bucket_id, rules=[everything], opts=opts
    )
