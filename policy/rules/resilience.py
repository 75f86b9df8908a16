"""Resilience: zones, deletion protection, backups, versions and dead-letter queues."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence

from policy.config import Config
from policy.controls import AVAILABILITY, CHANGE, INTEGRITY, RECOVERY
from policy.rule import Rule, Subject, Violation, as_list, of_type, value_at

MIN_BACKUP_DAYS = 7
_DATABASE = frozenset({"aws:rds/instance:Instance"})
_TABLE = "aws:dynamodb/table:Table"
_GUARDED = {
    _TABLE: "deletionProtectionEnabled",
    "aws:lb/loadBalancer:LoadBalancer": "enableDeletionProtection",
    "aws:rds/instance:Instance": "deletionProtection",
}


def _zones(resource: Subject, config: Config) -> Iterator[str]:
    standby = config.role == "standby"  # a standby's database is itself the copy of the primary's
    if not standby and resource.value("multiAz") is not True:
        yield "runs in one Availability Zone (multiAz)"


def _holds_nothing(resource: Subject) -> bool:
    """Tell whether a table's items are worth nothing later, such as leases of messages."""
    return resource.type == _TABLE and resource.value("tags", "DataClass") == "none"


def _deletion_protection(resource: Subject, _: Config) -> Iterator[str]:
    if resource.value(_GUARDED[resource.type]) is not True and not _holds_nothing(resource):
        yield f"has no {_GUARDED[resource.type]}"


def _backups(resource: Subject, _: Config) -> Iterator[str]:
    days = resource.value("backupRetentionPeriod") or 0
    if days < MIN_BACKUP_DAYS:
        yield f"keeps backups for {days:g} days; the minimum is {MIN_BACKUP_DAYS}"


def _final_snapshot(resource: Subject, _: Config) -> Iterator[str]:
    is_replica = resource.has("replicateSourceDb")  # RDS takes no final snapshot of a replica
    skips = resource.value("skipFinalSnapshot") is True
    if skips and not is_replica:
        yield "is deleted without a final snapshot (skipFinalSnapshot)"
    if is_replica and not skips:
        yield "is a replica, which RDS cannot delete with a final snapshot (skipFinalSnapshot)"


def _point_in_time(resource: Subject, _: Config) -> Iterator[str]:
    if resource.value("pointInTimeRecovery", "enabled") is not True and not _holds_nothing(resource):
        yield "has no point-in-time recovery"
    for replica in as_list(resource.value("replicas")):
        if value_at(replica, "pointInTimeRecovery") is not True:
            yield f"has a replica in {value_at(replica, 'regionName')} without point-in-time recovery"


def _versions(subjects: Sequence[Subject], _: Config) -> Iterator[Violation]:
    versioned = {
        resource.props["bucket"]
        for resource in of_type(subjects, "s3/bucketVersioning:BucketVersioning")
        if resource.value("versioningConfiguration", "status") == "Enabled"
    }
    for resource in of_type(subjects, "s3/bucket:Bucket"):
        if resource.props["bucket"] not in versioned:
            yield resource, "has no versioning"


def _force_destroy(resource: Subject, _: Config) -> Iterator[str]:
    if resource.value("forceDestroy") is True:
        yield "is deleted together with its objects (forceDestroy)"


def _dead_letters(subjects: Sequence[Subject], _: Config) -> Iterator[Violation]:
    """Check queues of event source mappings; a queue that is itself a dead-letter queue needs none."""
    queues = of_type(subjects, "sqs/queue:Queue")
    with_dlq = [resource for resource in queues if resource.has("redrivePolicy")]
    dead_letter_queues = {
        json.loads(resource.props["redrivePolicy"]).get("deadLetterTargetArn") for resource in with_dlq
    }
    sources = {
        resource.value("eventSourceArn")
        for resource in of_type(subjects, "lambda/eventSourceMapping:EventSourceMapping")
    }
    for resource in queues:
        if not resource.has("redrivePolicy") and resource.props["arn"] in sources - dead_letter_queues:
            yield resource, "triggers a function and has no dead-letter queue"


def _deletion_window(resource: Subject, _: Config) -> Iterator[str]:
    if (days := resource.value("deletionWindowInDays")) is not None and days < 14:
        yield f"can be deleted within {days:g} days (deletionWindowInDays); the minimum is 14"


RULES = (
    Rule(
        name="database-zones",
        description="In prod, the database of a primary is Multi-AZ.",
        severity="high",
        remediation="Set database.multiAz to true.",
        controls=AVAILABILITY,
        types=_DATABASE,
        prod_only=True,
        check=_zones,
    ),
    Rule(
        name="deletion-guarded",
        description="In prod, databases, tables with data and load balancers have deletion protection.",
        severity="high",
        remediation="Enable the resource's deletion protection; for the database, set database.deletionProtection.",
        controls=RECOVERY,
        types=frozenset(_GUARDED),
        prod_only=True,
        check=_deletion_protection,
    ),
    Rule(
        name="database-backed-up",
        description="In prod, databases keep backups for 7 days or more.",
        severity="high",
        remediation="Set database.backupDays to 7 or more.",
        controls=RECOVERY,
        types=_DATABASE,
        prod_only=True,
        check=_backups,
    ),
    Rule(
        name="database-last-snapshot",
        description="In prod, the deletion of a database takes a final snapshot, except for replicas.",
        severity="high",
        remediation="Set skipFinalSnapshot to false, with a constant finalSnapshotIdentifier; to true for a replica.",
        controls=RECOVERY,
        types=_DATABASE,
        prod_only=True,
        check=_final_snapshot,
    ),
    Rule(
        name="table-point-in-time",
        description="DynamoDB tables with data, and their replicas, have point-in-time recovery.",
        severity="high",
        remediation="Set pointInTimeRecovery.enabled, and pointInTimeRecovery on each replica.",
        controls=RECOVERY,
        types=frozenset({_TABLE}),
        check=_point_in_time,
    ),
    Rule(
        name="bucket-versioned",
        description="Buckets have versioning.",
        severity="medium",
        remediation="Declare buckets with infra.foundation.bucket.Bucket.",
        controls=INTEGRITY,
        check_stack=_versions,
    ),
    Rule(
        name="bucket-kept",
        description="In prod, a bucket with objects cannot be deleted.",
        severity="high",
        remediation="Remove forceDestroy, or set forceDestroy to false.",
        controls=RECOVERY,
        types=frozenset({"aws:s3/bucket:Bucket"}),
        prod_only=True,
        check=_force_destroy,
    ),
    Rule(
        name="dead-letters",
        description="Queues that trigger a function have a dead-letter queue.",
        severity="medium",
        remediation="Declare queues with infra.messaging.queue.Queue.",
        controls=INTEGRITY,
        check_stack=_dead_letters,
    ),
    Rule(
        name="key-kept",
        description="In prod, the deletion of a KMS key can be cancelled for 14 days or more.",
        severity="high",
        remediation="Remove deletionWindowInDays (default: 30 days), or set deletionWindowInDays to 14 or more.",
        controls={**RECOVERY, **CHANGE},
        types=frozenset({"aws:kms/key:Key", "aws:kms/replicaKey:ReplicaKey"}),
        prod_only=True,
        check=_deletion_window,
    ),
)
