"""What is kept is encrypted, with a key of ours where the service takes one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from policy.config import Config
from policy.controls import AT_REST, KEYS
from policy.rule import Rule, Subject, Violation, given, inner, items, of

# What holds data and takes a key, with the property that names it.
_KEYED = {
    "aws:backup/vault:Vault": "kmsKeyArn",
    "aws:cloudtrail/trail:Trail": "kmsKeyId",
    "aws:cloudwatch/logGroup:LogGroup": "kmsKeyId",
    "aws:secretsmanager/secret:Secret": "kmsKeyId",
    "aws:sns/topic:Topic": "kmsMasterKeyId",
}


def _our_key(it: Subject, _: Config) -> Iterator[str]:
    if not given(it.props, _KEYED[it.type]):
        yield f"has no {_KEYED[it.type]}"


def _queue(it: Subject, _: Config) -> Iterator[str]:
    if not given(it.props, "kmsMasterKeyId") and inner(it.props, "sqsManagedSseEnabled") is not True:
        yield "has neither kmsMasterKeyId nor sqsManagedSseEnabled"


def _table(it: Subject, _: Config) -> Iterator[str]:
    if inner(it.props, "serverSideEncryption", "enabled") is not True:
        yield "has no serverSideEncryption with a key"
    for replica in items(inner(it.props, "replicas")):
        if not given(replica, "kmsKeyArn"):
            yield f"has a replica in {inner(replica, 'regionName')} without kmsKeyArn"


def _database(it: Subject, _: Config) -> Iterator[str]:
    if inner(it.props, "storageEncrypted") is not True:
        yield "has no storageEncrypted"
    if not given(it.props, "kmsKeyId"):
        yield "has no kmsKeyId"
    if inner(it.props, "performanceInsightsEnabled") is True and not given(it.props, "performanceInsightsKmsKeyId"):
        yield "keeps its queries (Performance Insights) without performanceInsightsKmsKeyId"


def _volumes(it: Subject, _: Config) -> Iterator[str]:
    disks = items(inner(it.props, "blockDeviceMappings"))
    if not disks:
        yield "leaves its disk to the image (blockDeviceMappings), encrypted or not"
    for disk in disks:
        if str(inner(disk, "ebs", "encrypted")).lower() != "true":
            yield f"has an unencrypted disk {inner(disk, 'deviceName')}"


def _buckets(subjects: Sequence[Subject], _: Config) -> Iterator[Violation]:
    kind = "s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration"
    locked = {it.props["bucket"] for it in of(subjects, kind)}
    for it in of(subjects, "s3/bucket:Bucket"):
        if it.props["bucket"] not in locked:
            yield it, "has no server-side encryption of its own"


def _rotation(it: Subject, _: Config) -> Iterator[str]:
    spec = inner(it.props, "customerMasterKeySpec") or "SYMMETRIC_DEFAULT"
    if spec == "SYMMETRIC_DEFAULT" and inner(it.props, "enableKeyRotation") is not True:
        yield "is symmetric and has no enableKeyRotation"


RULES = (
    Rule(
        name="our-key",
        description="Topics, log groups, secrets, trails and backup vaults are encrypted with a key of ours.",
        severity="high",
        remediation="Pass keys.data_arn as the resource's KMS key.",
        controls=AT_REST,
        types=frozenset(_KEYED),
        check=_our_key,
    ),
    Rule(
        name="queue-encrypted",
        description="Queues are encrypted.",
        severity="high",
        remediation="Set sqsManagedSseEnabled, or kmsMasterKeyId.",
        controls=AT_REST,
        types=frozenset({"aws:sqs/queue:Queue"}),
        check=_queue,
    ),
    Rule(
        name="table-encrypted",
        description="Tables, and their replicas, are encrypted with a KMS key.",
        severity="high",
        remediation="Set serverSideEncryption.enabled with kmsKeyArn, and kmsKeyArn on each replica.",
        controls=AT_REST,
        types=frozenset({"aws:dynamodb/table:Table"}),
        check=_table,
    ),
    Rule(
        name="database-encrypted",
        description="Databases are encrypted with a key of ours, and so is what is kept of their queries.",
        severity="critical",
        remediation="Set storageEncrypted, kmsKeyId and performanceInsightsKmsKeyId. It cannot be added later.",
        controls=AT_REST,
        types=frozenset({"aws:rds/instance:Instance"}),
        check=_database,
    ),
    Rule(
        name="volume-encrypted",
        description="Disks of instances are encrypted, and the launch template says so.",
        severity="high",
        remediation="Set blockDeviceMappings[].ebs.encrypted to true.",
        controls=AT_REST,
        types=frozenset({"aws:ec2/launchTemplate:LaunchTemplate"}),
        check=_volumes,
    ),
    Rule(
        name="bucket-encrypted",
        description="Every bucket says how it encrypts.",
        severity="high",
        remediation="Declare buckets with infra.foundation.bucket.Bucket.",
        controls=AT_REST,
        check_stack=_buckets,
    ),
    Rule(
        name="key-rotates",
        description="Symmetric keys rotate by themselves.",
        severity="medium",
        remediation="Set enableKeyRotation.",
        controls=KEYS,
        types=frozenset({"aws:kms/key:Key"}),
        check=_rotation,
    ),
)
