"""Encryption at rest, with a customer managed key where the service supports one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from policy.config import Config
from policy.controls import AT_REST, KEYS
from policy.rule import Rule, Subject, Violation, as_list, is_set, of_type, value_at

# Property with the KMS key, by resource type.
_KEYED = {
    "aws:backup/vault:Vault": "kmsKeyArn",
    "aws:cloudtrail/trail:Trail": "kmsKeyId",
    "aws:cloudwatch/logGroup:LogGroup": "kmsKeyId",
    "aws:secretsmanager/secret:Secret": "kmsKeyId",
    "aws:sns/topic:Topic": "kmsMasterKeyId",
}


def _customer_key(resource: Subject, config: Config) -> Iterator[str]:
    # CloudFront and Route 53 write their logs in us-east-1, where a stack of another region has no key.
    elsewhere = resource.type == "aws:cloudwatch/logGroup:LogGroup" and resource.value("region")
    if elsewhere and elsewhere != config.region:
        return
    if not resource.has(_KEYED[resource.type]):
        yield f"has no {_KEYED[resource.type]}"


def _queue(resource: Subject, _: Config) -> Iterator[str]:
    if not resource.has("kmsMasterKeyId") and resource.value("sqsManagedSseEnabled") is not True:
        yield "has neither kmsMasterKeyId nor sqsManagedSseEnabled"


def _table(resource: Subject, _: Config) -> Iterator[str]:
    if resource.value("serverSideEncryption", "enabled") is not True:
        yield "has no serverSideEncryption with a KMS key"
    for replica in as_list(resource.value("replicas")):
        if not is_set(replica, "kmsKeyArn"):
            yield f"has a replica in {value_at(replica, 'regionName')} without kmsKeyArn"


def _database(resource: Subject, _: Config) -> Iterator[str]:
    if resource.value("storageEncrypted") is not True:
        yield "has no storageEncrypted"
    if not resource.has("kmsKeyId"):
        yield "has no kmsKeyId"
    if resource.value("performanceInsightsEnabled") is True and not is_set(
        resource.props, "performanceInsightsKmsKeyId"
    ):
        yield "stores queries (Performance Insights) without performanceInsightsKmsKeyId"


def _volumes(resource: Subject, _: Config) -> Iterator[str]:
    disks = as_list(resource.value("blockDeviceMappings"))
    if not disks:
        yield "does not encrypt the disks of its image (blockDeviceMappings)"
    for disk in disks:
        if str(value_at(disk, "ebs", "encrypted")).lower() != "true":
            yield f"has an unencrypted disk {value_at(disk, 'deviceName')}"


def _buckets(subjects: Sequence[Subject], _: Config) -> Iterator[Violation]:
    kind = "s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration"
    encrypted = {resource.props["bucket"] for resource in of_type(subjects, kind)}
    for resource in of_type(subjects, "s3/bucket:Bucket"):
        if resource.props["bucket"] not in encrypted:
            yield resource, "has no encryption configuration"


def _rotation(resource: Subject, _: Config) -> Iterator[str]:
    spec = resource.value("customerMasterKeySpec") or "SYMMETRIC_DEFAULT"
    if spec == "SYMMETRIC_DEFAULT" and resource.value("enableKeyRotation") is not True:
        yield "is a symmetric key without enableKeyRotation"


RULES = (
    Rule(
        name="our-key",
        description="Topics, log groups of the stack's Region, secrets, trails and backup vaults are encrypted with a "
        "customer managed key.",
        severity="high",
        remediation="Pass the data key (infra.foundation.keys) as the resource's KMS key.",
        controls=AT_REST,
        types=frozenset(_KEYED),
        check=_customer_key,
    ),
    Rule(
        name="queue-encrypted",
        description="SQS queues are encrypted.",
        severity="high",
        remediation="Set sqsManagedSseEnabled, or kmsMasterKeyId.",
        controls=AT_REST,
        types=frozenset({"aws:sqs/queue:Queue"}),
        check=_queue,
    ),
    Rule(
        name="table-encrypted",
        description="DynamoDB tables and their replicas are encrypted with a KMS key.",
        severity="high",
        remediation="Set serverSideEncryption.enabled with kmsKeyArn, and kmsKeyArn on each replica.",
        controls=AT_REST,
        types=frozenset({"aws:dynamodb/table:Table"}),
        check=_table,
    ),
    Rule(
        name="database-encrypted",
        description="Databases and their Performance Insights data are encrypted with a customer managed key.",
        severity="critical",
        remediation="Set storageEncrypted, kmsKeyId and performanceInsightsKmsKeyId; "
        "RDS cannot encrypt an existing database.",
        controls=AT_REST,
        types=frozenset({"aws:rds/instance:Instance"}),
        check=_database,
    ),
    Rule(
        name="volume-encrypted",
        description="Launch templates encrypt the disks of instances.",
        severity="high",
        remediation="Set blockDeviceMappings[].ebs.encrypted to true.",
        controls=AT_REST,
        types=frozenset({"aws:ec2/launchTemplate:LaunchTemplate"}),
        check=_volumes,
    ),
    Rule(
        name="bucket-encrypted",
        description="Every bucket has an encryption configuration.",
        severity="high",
        remediation="Declare buckets with infra.foundation.bucket.Bucket.",
        controls=AT_REST,
        check_stack=_buckets,
    ),
    Rule(
        name="key-rotates",
        description="Symmetric KMS keys have automatic rotation.",
        severity="medium",
        remediation="Set enableKeyRotation.",
        controls=KEYS,
        types=frozenset({"aws:kms/key:Key"}),
        check=_rotation,
    ),
)
