"""What is lost, or deleted by a slip, can be had again."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence

from policy.config import Config
from policy.controls import AVAILABILITY, CHANGE, INTEGRITY, RECOVERY
from policy.rule import Rule, Subject, Violation, given, inner, items, of

LEAST_BACKUP_DAYS = 7
_DATABASE = frozenset({"aws:rds/instance:Instance"})
_GUARDED = {
    "aws:dynamodb/table:Table": "deletionProtectionEnabled",
    "aws:lb/loadBalancer:LoadBalancer": "enableDeletionProtection",
    "aws:rds/instance:Instance": "deletionProtection",
}


def _zones(it: Subject, config: Config) -> Iterator[str]:
    standby = config.role == "standby"  # the second copy of its primary's
    if not standby and inner(it.props, "multiAz") is not True:
        yield "stands in one zone (multiAz)"


def _guarded(it: Subject, _: Config) -> Iterator[str]:
    if inner(it.props, _GUARDED[it.type]) is not True:
        yield f"has no {_GUARDED[it.type]}"


def _backups(it: Subject, _: Config) -> Iterator[str]:
    days = inner(it.props, "backupRetentionPeriod") or 0
    if days < LEAST_BACKUP_DAYS:
        yield f"keeps backups for {days:g} days, less than {LEAST_BACKUP_DAYS}"


def _last_snapshot(it: Subject, _: Config) -> Iterator[str]:
    follows = given(it.props, "replicateSourceDb")  # RDS takes none of it: what it holds is its source's
    skips = inner(it.props, "skipFinalSnapshot") is True
    if skips and not follows:
        yield "is deleted without a last snapshot (skipFinalSnapshot)"
    if follows and not skips:
        yield "follows another, and RDS deletes no replica with a last snapshot (skipFinalSnapshot)"


def _point_in_time(it: Subject, _: Config) -> Iterator[str]:
    if inner(it.props, "pointInTimeRecovery", "enabled") is not True:
        yield "has no point-in-time recovery"
    for replica in items(inner(it.props, "replicas")):
        if inner(replica, "pointInTimeRecovery") is not True:
            yield f"has a replica in {inner(replica, 'regionName')} without point-in-time recovery"


def _versions(subjects: Sequence[Subject], _: Config) -> Iterator[Violation]:
    versioned = {
        it.props["bucket"]
        for it in of(subjects, "s3/bucketVersioning:BucketVersioning")
        if inner(it.props, "versioningConfiguration", "status") == "Enabled"
    }
    for it in of(subjects, "s3/bucket:Bucket"):
        if it.props["bucket"] not in versioned:
            yield it, "keeps no versions"


def _emptied(it: Subject, _: Config) -> Iterator[str]:
    if inner(it.props, "forceDestroy") is True:
        yield "is emptied when it is deleted (forceDestroy)"


def _dead_letters(subjects: Sequence[Subject], _: Config) -> Iterator[Violation]:
    """Beside an event source: what a queue cannot get rid of ends somewhere, and that queue is the last."""
    queues = of(subjects, "sqs/queue:Queue")
    redriven = [it for it in queues if given(it.props, "redrivePolicy")]
    last = {json.loads(it.props["redrivePolicy"]).get("deadLetterTargetArn") for it in redriven}
    fed = {inner(it.props, "eventSourceArn") for it in of(subjects, "lambda/eventSourceMapping:EventSourceMapping")}
    for it in queues:
        if not given(it.props, "redrivePolicy") and it.props["arn"] in fed - last:
            yield it, "feeds a function and has no dead-letter queue"


def _kept_keys(it: Subject, _: Config) -> Iterator[str]:
    if (days := inner(it.props, "deletionWindowInDays")) is not None and days < 14:
        yield f"can be gone {days:g} days after a slip (deletionWindowInDays)"


RULES = (
    Rule(
        name="database-zones",
        description="In prod a primary's database stands in two zones.",
        severity="high",
        remediation="Set database.multiAz to true.",
        controls=AVAILABILITY,
        types=_DATABASE,
        prod_only=True,
        check=_zones,
    ),
    Rule(
        name="deletion-guarded",
        description="In prod databases, tables and load balancers refuse to be deleted.",
        severity="high",
        remediation="Set the resource's deletion protection; database.deletionProtection for the database.",
        controls=RECOVERY,
        types=frozenset(_GUARDED),
        prod_only=True,
        check=_guarded,
    ),
    Rule(
        name="database-backed-up",
        description="In prod databases keep backups for a week or more.",
        severity="high",
        remediation="Set database.backupDays to 7 or more.",
        controls=RECOVERY,
        types=_DATABASE,
        prod_only=True,
        check=_backups,
    ),
    Rule(
        name="database-last-snapshot",
        description="In prod a database leaves a snapshot when it is deleted, unless it is a replica.",
        severity="high",
        remediation="Set skipFinalSnapshot to false, with a finalSnapshotIdentifier that does not change; true for a "
        "replica.",
        controls=RECOVERY,
        types=_DATABASE,
        prod_only=True,
        check=_last_snapshot,
    ),
    Rule(
        name="table-point-in-time",
        description="Tables, and their replicas, can be taken back to any second of the last weeks.",
        severity="high",
        remediation="Set pointInTimeRecovery.enabled, and pointInTimeRecovery on each replica.",
        controls=RECOVERY,
        types=frozenset({"aws:dynamodb/table:Table"}),
        check=_point_in_time,
    ),
    Rule(
        name="bucket-versioned",
        description="Buckets keep versions.",
        severity="medium",
        remediation="Declare buckets with infra.foundation.bucket.Bucket.",
        controls=INTEGRITY,
        check_stack=_versions,
    ),
    Rule(
        name="bucket-kept",
        description="In prod a bucket that holds something cannot be deleted.",
        severity="high",
        remediation="Leave forceDestroy out, or set it to false.",
        controls=RECOVERY,
        types=frozenset({"aws:s3/bucket:Bucket"}),
        prod_only=True,
        check=_emptied,
    ),
    Rule(
        name="dead-letters",
        description="A queue that feeds a function has a dead-letter queue.",
        severity="medium",
        remediation="Declare queues with infra.messaging.queue.",
        controls=INTEGRITY,
        check_stack=_dead_letters,
    ),
    Rule(
        name="key-kept",
        description="In prod a key that was scheduled for deletion can be saved for two weeks or more.",
        severity="high",
        remediation="Leave deletionWindowInDays out (30 days), or set it to 14 or more.",
        controls={**RECOVERY, **CHANGE},
        types=frozenset({"aws:kms/key:Key", "aws:kms/replicaKey:ReplicaKey"}),
        prod_only=True,
        check=_kept_keys,
    ),
)
